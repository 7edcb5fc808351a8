/** Steps on files that survive a crash: each is done, and on the disk, when its promise resolves. */
import { link, mkdir, open } from "node:fs/promises";
import { dirname } from "node:path";
import { fileErrorCode } from "./explain-file-error.ts";

/** Puts a folder's entries on the disk: a file is only as durable as its name. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } catch (thrown) {
    // Some file systems cannot sync a folder and need not: their entries are written through.
    if (!["EINVAL", "ENOTSUP", "EPERM"].includes(fileErrorCode(thrown) ?? "")) throw thrown;
  } finally {
    await handle.close();
  }
}

/** Makes a folder and those above it, and syncs every folder that got a new entry. @param mode of those that are made */
export async function makeFolder(folder: string, mode: number): Promise<void> {
  const first = await mkdir(folder, { recursive: true, mode });
  if (first === undefined) return;
  for (let made = folder; made.length >= first.length; made = dirname(made)) await syncFolder(dirname(made));
}

/** Links `file` to a name that nothing has yet; of any number of processes exactly one gets `true`. */
export async function linkExclusively(file: string, name: string): Promise<boolean> {
  try {
    await link(file, name);
    return true;
  } catch (thrown) {
    if (fileErrorCode(thrown) === "EEXIST") return false;
    throw thrown;
  }
}

/** Makes a folder of a name that nothing has yet; of any number of processes exactly one gets `true`. */
export async function makeFolderExclusively(name: string, mode: number): Promise<boolean> {
  try {
    await mkdir(name, { mode });
    return true;
  } catch (thrown) {
    if (fileErrorCode(thrown) === "EEXIST") return false;
    throw thrown;
  }
}

/** Undefined in place of an error that says that there is no such file. */
export async function ifThere<T>(step: Promise<T>): Promise<T | undefined> {
  try {
    return await step;
  } catch (thrown) {
    // Nothing has a name that is longer than the file system takes.
    if (["ENOENT", "ENOTDIR", "ENAMETOOLONG"].includes(fileErrorCode(thrown) ?? "")) return undefined;
    throw thrown;
  }
}
