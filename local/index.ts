/** `tidemark/local`: the embedded engine. */
export type { Engine, EngineOptions, EngineProgress } from "./engine.ts";
export type { EngineEvent, EngineObserver } from "./engine-event.ts";
export { loadApp } from "./load-app.ts";
export { startEngine } from "./start-engine.ts";
