import { readPlainFile, whyUnread } from "../src/discovery/plainFile.ts"

/** Text of the file that a setting names. Rejects with an Error that names both and says why. */
export const readTextOf = async (setting: string, path: string, bytesMax: number): Promise<string> => {
  try {
    return await readPlainFile(path, bytesMax)
  } catch (cause) {
    throw new Error(`${setting}: ${path} ${whyUnread(cause)}`, { cause })
  }
}
