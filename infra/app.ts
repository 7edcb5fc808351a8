/** What `npx cdk` runs: the example app's stack. */
import { App } from "aws-cdk-lib";
import exampleApp from "../functions/app.ts";
import { ExampleStack } from "./example-stack.ts";

new ExampleStack(new App(), "TidemarkExample", { app: exampleApp, streams: { flights: "flights" } });
