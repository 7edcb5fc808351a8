/** `tidemark/local`: the embedded engine. */
export {
  type Engine,
  type EngineOptions,
  type EngineProgress,
  startEngine,
} from "./engine.ts";
export type { EngineEvent, EngineObserver } from "./engine-event.ts";
export { loadApp } from "./load-app.ts";
