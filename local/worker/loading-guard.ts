/** What an app module does beside its loading, while its worker is not ready yet, is said of the module, without a stack. */
import type { AppDefinition } from "../../shared/app/define-app.ts";
import { loadApp, notLoaded } from "../load-app.ts";

/** Long enough for a promise that the module rejects, and that nobody waits for, to be noticed. */
const SETTLING_TURNS = 2;

/**
 * Loads an app. The supervisor sees to the time, since a module may keep this very process busy.
 * @param onFailure told of what is thrown outside of the loading: the process would end with a stack
 */
export async function loadingGuarded(appModule: string, onFailure: (error: unknown) => void): Promise<AppDefinition> {
  const failed = (thrown: unknown): void => onFailure(notLoaded(appModule, thrown));
  process.on("uncaughtException", failed);
  try {
    return await loadApp(appModule, { loadMs: 2 ** 31 - 1 });
  } finally {
    for (let turn = 0; turn < SETTLING_TURNS; turn++) await new Promise((resolve) => setImmediate(resolve));
    process.off("uncaughtException", failed);
  }
}
