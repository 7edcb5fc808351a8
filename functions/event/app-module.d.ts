/** What stands in the app's place where nothing is bundled: the constructs alias this name to the user's app module. */
declare module "tidemark-app-module" {
  const app: import("../../shared/app/define-app.ts").AppDefinition;
  export default app;
}
