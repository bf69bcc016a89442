import { existsSync, mkdirSync } from "node:fs"
import { basename, join } from "node:path"
import { workDirectory } from "../Process.ts"

/** File names that a trace may have, by its format; the first that is there is played. */
const names: Readonly<Record<string, ReadonlyArray<string>>> = {
  mooncake: ["mooncake-conversation.jsonl", "conversation_trace.jsonl"],
  "claude-code": ["weka-claude-code-100.jsonl", "weka-claude-code-100.jsonl.xz"]
}

/**
 * The trace of a format in a directory, unpacked into the bench's work directory when it ends in .xz.
 * The text says why there is none.
 */
export const traceFile = async (
  directory: string | undefined,
  format: string
): Promise<{ readonly path: string } | { readonly missing: string }> => {
  const candidates = names[format] ?? []
  if (directory === undefined) return { missing: `it needs ${candidates[0]}; --traces DIR says where it is` }
  const name = candidates.find((name) => existsSync(join(directory, name)))
  if (name === undefined) return { missing: `there is no ${candidates.join(" or ")} in ${directory}` }
  const path = join(directory, name)
  if (!name.endsWith(".xz")) return { path }
  mkdirSync(workDirectory, { recursive: true })
  const unpacked = join(workDirectory, basename(name, ".xz"))
  const xz = Bun.which("xz")
  if (xz === null) return { missing: `${path} is packed and there is no command xz` }
  const unpacking = Bun.spawn([xz, "-dc", path], { stdout: Bun.file(unpacked), stderr: "inherit" })
  return (await unpacking.exited) === 0 ? { path: unpacked } : { missing: `xz can't unpack ${path}` }
}
