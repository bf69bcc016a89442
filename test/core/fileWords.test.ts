import { expect, test } from "bun:test"
import { fileWords } from "../../src/core/fileWords.ts"
import { listenFault } from "../../src/core/networkWords.ts"

const systemError = (code: string, message: string) => Object.assign(new Error(`${code}: ${message}`), { code })

test.each([
  [systemError("ENOENT", "no such file or directory, open '/x'"), "read", "does not exist"],
  [systemError("EACCES", "permission denied, open '/x'"), "read", "may not be read by this user"],
  [systemError("EPERM", "operation not permitted, open '/x'"), "written", "may not be written by this user"],
  [systemError("ENOSPC", "no space left on device, write"), "written", "has no room on its disk"],
  [systemError("EIO", "i/o error, read '/some, file'"), "read", "can't be read: i/o error"],
  [new Error("is longer than 5 bytes"), "read", "is longer than 5 bytes"],
  ["thrown text", "read", "thrown text"]
])("%s has words that follow a file's name", (cause, use, words) => {
  expect(fileWords(cause, use as "read" | "written")).toBe(words)
})

test.each([
  [systemError("EADDRINUSE", "address already in use, listen"), "port", "the port is taken"],
  [systemError("EACCES", "permission denied, listen"), "port", "this user may not take the port"],
  [systemError("EADDRNOTAVAIL", "x"), "host", "no interface of this machine has this address"],
  [systemError("ENOTTY", "inappropriate ioctl for device, listen"), "host", "no interface of this machine has"],
  [new Error("error:09000066:PEM routines"), "port", "error:09000066:PEM routines"]
])("%s says why nobody can listen, and what to change", (cause, change, why) => {
  expect(listenFault(cause)).toEqual({ change: change as "host" | "port", why: expect.stringContaining(why) })
})
