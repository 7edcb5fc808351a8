/** Lambda's entry point of the on-time function. */
import { lambdaEventHandler } from "../../shared/lambda/index.ts";
import app from "../app.ts";

export const handler = lambdaEventHandler(app, "on-time");
