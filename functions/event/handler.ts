/**
 * Lambda's entry of every event function. The constructs bundle the user's app module in, under the name that is imported
 * here, and say in the environment which of its functions this one is: users write no entry files.
 */
import app from "tidemark-app-module";
import { lambdaEventHandler } from "../../shared/lambda/index.ts";

export const handler = lambdaEventHandler(app, process.env.TIDEMARK_FUNCTION ?? "");
