/** Lambda's entry point of the hash-chain function. */
import { lambdaEventHandler } from "../../shared/lambda/index.ts";
import app from "../app.ts";

export const handler = lambdaEventHandler(app, "hash-chain");
