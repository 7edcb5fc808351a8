import { describeThrown, TidemarkError } from "../../errors.ts";

export interface FileAction {
  /** What was being done, as in "Could not <action>". */
  readonly action: string;
  readonly root: string;
  readonly path?: string;
}

/** The code that Node gives errors of the file system, such as ENOENT. */
export function fileErrorCode(thrown: unknown): string | undefined {
  if (!(thrown instanceof Error) || !("code" in thrown)) return undefined;
  return typeof thrown.code === "string" ? thrown.code : undefined;
}

const FULL =
  "Nothing of it was kept. Free space there (or raise the quota), or retain fewer checkpoints, then try again.";
const NOT_ALLOWED =
  "Give this process's user permission to read and write the folder and everything below it, or choose another folder in the storage URL.";
const NO_HARD_LINKS =
  "Tidemark decides a checkpoint's outcome by an exclusive hard link: choose a folder, without mounts inside it, on a file system that has hard links (ext4, XFS, APFS, NFS; not FAT or exFAT).";

const WAYS_OUT: Readonly<Record<string, string>> = {
  ENOSPC: `The disk is full. ${FULL}`,
  EDQUOT: `The disk quota is used up. ${FULL}`,
  EFBIG: `The file is larger than this file system or process may write. ${FULL}`,
  EACCES: `Permission was denied. ${NOT_ALLOWED}`,
  EPERM: `The operation is not permitted. ${NOT_ALLOWED}`,
  EROFS: `The file system is mounted read-only. ${NOT_ALLOWED}`,
  ENOTDIR: "A part of the path is a file where a folder is needed. Choose another folder in the storage URL.",
  EEXIST: "A file stands where a folder is needed. Choose another folder in the storage URL.",
  EISDIR: "A folder stands where a file is needed. Choose an empty folder in the storage URL.",
  ENAMETOOLONG: "The name is longer than the file system takes. Use shorter names of functions, sources or files.",
  EXDEV: `The folder spans several file systems. ${NO_HARD_LINKS}`,
};

const NO_LINK_CODES = new Set(["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EMLINK"]);

function wayOut(code: string | undefined, syscall: unknown): string | undefined {
  if (code === undefined) return undefined;
  if (syscall === "link" && NO_LINK_CODES.has(code)) return `The file system has no hard links. ${NO_HARD_LINKS}`;
  return WAYS_OUT[code];
}

/** Says in the user's terms what a file system refused, and what to do about it. */
export function explainFileError(thrown: unknown, { action, root, path }: FileAction): TidemarkError {
  if (thrown instanceof TidemarkError) return thrown;
  const code = fileErrorCode(thrown);
  const out = wayOut(code, (thrown as { readonly syscall?: unknown } | undefined)?.syscall);
  const what = `Could not ${action}${path === undefined ? "" : ` ${path}`} in the checkpoint storage folder ${root} (${code ?? describeThrown(thrown)}).`;
  if (out !== undefined) return new TidemarkError("fix-configuration", `${what} ${out}`, { cause: thrown });
  return new TidemarkError(
    "retry",
    `${what} The file system failed for a reason that may pass (too many open files, an input or output error, a file taken away): try again, and look at the disk if it goes on.`,
    { cause: thrown },
  );
}
