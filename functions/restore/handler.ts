/** Lambda's entry point of the restore function: invoked by people, and by `tidemark restore --function`. */
import { lambdaRestoreHandler } from "../../shared/lambda/index.ts";

export const handler = lambdaRestoreHandler();
