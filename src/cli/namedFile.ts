import { Effect } from "effect"
import { access, constants, stat } from "node:fs/promises"
import { dirname, isAbsolute } from "node:path"
import { fileWords } from "../core/fileWords.ts"
import { CommandFailure } from "./failure.ts"

/** Text of the file, or of a pipe, that a flag of the command names. Fails in words. */
export const readNamed = (command: string, path: string): Effect.Effect<string, CommandFailure> =>
  Effect.tryPromise({
    try: async () => {
      // Bun has words of its own for a directory, and reads one as empty by some of its ways.
      if ((await stat(path)).isDirectory()) throw new Error("is a directory")
      return path.endsWith(".xz") ? await unpacked(path) : await Bun.file(path).text()
    },
    catch: (cause) => failure(command, "read", path, cause)
  })

/** So that a long run does not end with what could be known before it began. */
export const checkWritable = (command: string, path: string): Effect.Effect<void, CommandFailure> =>
  Effect.tryPromise({
    try: async () => {
      const there = await stat(path).catch(() => undefined)
      if (there?.isDirectory() === true) throw new Error("is a directory")
      if (there !== undefined) return await access(path, constants.W_OK)
      await writableFolder(dirname(path))
    },
    catch: (cause) => failure(command, "written", path, cause)
  })

export const writeNamed = (command: string, path: string, text: string): Effect.Effect<void, CommandFailure> =>
  Effect.tryPromise({
    try: () => Bun.write(path, text),
    catch: (cause) => failure(command, "written", path, cause)
  }).pipe(Effect.asVoid)

/** The nearest folder that is there; those below it are made. */
const writableFolder = async (path: string): Promise<void> => {
  const there = await stat(path).catch(() => undefined)
  if (there === undefined && dirname(path) !== path) return writableFolder(dirname(path))
  if (there?.isDirectory() === false) throw new Error("has a file where a directory must be")
  await access(path, constants.W_OK)
}

const unpacked = async (path: string): Promise<string> => {
  if (Bun.which("xz") === null) throw new Error("needs the command xz, which is not installed; unpack it first")
  const unpacking = Bun.spawn(["xz", "-dc", path], { stderr: "pipe" })
  const [text, complaint, status] = await Promise.all([
    new Response(unpacking.stdout).text(),
    new Response(unpacking.stderr).text(),
    unpacking.exited
  ])
  if (status !== 0) throw new Error(`is not what xz packs: ${complaint.trim().replace(`xz: ${path}: `, "")}`)
  return text
}

const failure = (command: string, use: "read" | "written", path: string, cause: unknown): CommandFailure => {
  const why = fileWords(cause, use)
  const base = use === "read" && why === "does not exist" && !isAbsolute(path)
    ? `; relative paths start at ${process.cwd()}`
    : ""
  const verb = use === "read" ? "read" : "write"
  return new CommandFailure({ message: `warmroute ${command}: can't ${verb} ${path}: it ${why}${base}` })
}
