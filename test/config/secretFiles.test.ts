import { describe, expect, test } from "bun:test"
import { Either } from "effect"
import { mkdir, symlink, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { decodeConfig } from "../../config/decodeConfig.ts"
import { readSecrets } from "../../config/secretFiles.ts"
import { selfSignedTls } from "../../src/extproc/selfSignedTls.ts"
import { keyHash } from "../../src/http/doors/clientKey.ts"
import { dateFault } from "../../src/http/doors/TlsPair.ts"
import { otherPair } from "../http/doors/otherPair.ts"
import { tlsPair } from "../http/tlsPair.ts"
import { rejectionOf } from "../lib/rejectionOf.ts"
import { withDirectory } from "../storage/snapshots.ts"

const reading = (values: Record<string, unknown>) =>
  readSecrets(Either.getOrThrow(decodeConfig([{ name: "test", values }])), {})

const whyNot = async (values: Record<string, unknown>): Promise<string> =>
  (await rejectionOf(reading(values)) as Error).message

const [one, two] = [keyHash("one"), keyHash("two")]

describe("a file of keys that is wrong is told with line, entry and what to do:", () => {
  test.each([
    ["empty", "\n", " is empty; write [] for no keys, or entries of `warmroute key`"],
    ["one entry without its dash", `name: a\nhash: ${one}\n`, " is no list; each key is an entry that begins with"],
    ["no YAML", `- name: a\n  hash: [\n`, ":3:1 is not YAML; `warmroute key` prints entries that are"],
    ["a field twice", `- name: a\n  name: b\n  hash: ${one}\n`, ":2:3 is not YAML"],
    ["no entry", `- ${one}\n`, ":1:3: [0] must be an entry with name and hash"],
    ["no hash", `- name: a\n`, ":1:3: [0].hash is missing; `warmroute key` prints the whole entry"],
    ["a number as its name", `- name: 5\n  hash: ${one}\n`, ":1:3: [0].name must be text; quote it"],
    ["no models", `- name: a\n  hash: ${one}\n  models: x\n`, ":3:3: [0].models must be a list of names"],
    ["a model that is none", `- name: a\n  hash: ${one}\n  models: [x, 1]\n`, ":3:15: [0].models[1] must be text"],
    ["no date", `- name: a\n  hash: ${one}\n  expires: 1.2.3\n`, `:3:3: [0].expires "1.2.3" is no date such as 2027-`],
    [
      "no setting",
      `- name: a\n  hash: ${one}\n  modles: []\n`,
      ":3:3: [0] has a setting that keys don't have (name, hash"
    ],
    ["a name twice", `- name: a\n  hash: ${one}\n- name: a\n  hash: ${two}\n`, `:3:3: [1].name repeats the name "a"`],
    ["a key twice", `- name: a\n  hash: ${one}\n- name: b\n  hash: ${one}\n`, ":4:3: [1].hash repeats the hash of"],
    [
      "one of auth.keys",
      `- name: b\n  hash: ${one}\n- name: own\n  hash: ${two}\n`,
      `:3:3: the key "own" is one of auth`
    ]
  ])("%s", (_name, text, why) =>
    withDirectory(async (directory) => {
      const keysPath = join(directory, "keys.yaml")
      await writeFile(keysPath, text)
      const keys = [{ name: "own", hash: keyHash("own") }]
      expect(await whyNot({ auth: { keysPath, keys } })).toStartWith(`auth.keysPath: ${keysPath}${why}`)
    }))

  test("a key that has expired is no fault of the file", () =>
    withDirectory(async (directory) => {
      const keysPath = join(directory, "keys.yaml")
      await writeFile(keysPath, `- name: a\n  hash: ${one}\n  expires: 2020-01-01\n`)
      expect((await reading({ auth: { keysPath } })).keys).toHaveLength(1)
    }))

  test("missing, a directory, a link to itself, no text", () =>
    withDirectory(async (directory) => {
      const at = (name: string) => join(directory, name)
      await mkdir(at("folder"))
      await symlink(at("circle"), at("circle"))
      await writeFile(at("binary"), new Uint8Array([0xff, 0xfe]))
      const why = async (name: string) => (await whyNot({ auth: { keysPath: at(name) } })).replace(at(name), "IT")
      expect(await Promise.all(["missing", "folder", "circle", "binary"].map(why))).toEqual([
        "auth.keysPath: IT does not exist",
        "auth.keysPath: IT is not a plain file",
        "auth.keysPath: IT is a link that leads back to itself",
        "auth.keysPath: IT is not UTF-8 text"
      ])
    }))
})

describe("a certificate or key that is wrong is told by setting and file:", () => {
  const { cert, key } = tlsPair
  const cut = (pem: string) => pem.slice(0, 100)
  test.each([
    ["another's key", cert, otherPair.key, "keyPath: KEY does not belong to the certificate CERT; replace both files"],
    ["swapped", key, cert, "certPath: CERT holds PRIVATE KEY and no certificate; it must have a certificate"],
    ["an empty certificate", "", key, "certPath: CERT is empty; it must have a certificate"],
    ["an empty key", cert, " \n", "keyPath: KEY is empty; it must have a private key"],
    ["no PEM", "hello", key, "certPath: CERT is not PEM text; it must have a certificate"],
    ["half a certificate", cut(cert), key, "certPath: CERT can't be read: it is cut off or damaged"],
    ["half a key", cert, cut(key), "keyPath: KEY can't be read: it is cut off or damaged"],
    ["half a chain", `${cert}\n${cut(cert)}`, key, "certPath: CERT can't be read: certificate 2 of 2: it is cut off"],
    ["two blocks on one line", cert.trim() + cert, key, "certPath: CERT has the end of one block and the beginning of"],
    [
      "an encrypted key",
      cert,
      "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIF\n-----END ENCRYPTED PRIVATE KEY-----\n",
      "keyPath: KEY is encrypted; `openssl pkey -in FILE` decrypts it"
    ]
  ])("%s", (_name, cert, key, why) =>
    withDirectory(async (directory) => {
      const [certPath, keyPath] = [join(directory, "cert.pem"), join(directory, "key.pem")]
      await writeFile(certPath, cert)
      await writeFile(keyPath, key)
      const said = async (values: Record<string, unknown>) =>
        (await whyNot(values)).replaceAll(certPath, "CERT").replaceAll(keyPath, "KEY")
      expect(await said({ listen: { tls: { certPath, keyPath } } })).toStartWith(`listen.tls.${why}`)
      expect(await said({ podAccess: { certPath, keyPath } })).toStartWith(`podAccess.${why}`)
    }))

  test("a certificate in one file with its key, or behind other words, is one", () =>
    withDirectory(async (directory) => {
      const path = join(directory, "both.pem")
      await writeFile(path, `# ours\n${key}\n${cert}\n`)
      expect((await reading({ listen: { tls: { certPath: path, keyPath: path } } })).tls?.cert).toContain("# ours")
    }))

  test.each([["", "is empty"], ["x", "is not PEM text"], [key, "holds PRIVATE KEY and no certificate"]])(
    "authorities that are %j",
    (text, why) =>
      withDirectory(async (directory) => {
        const caPath = join(directory, "ca.pem")
        await writeFile(caPath, text)
        expect(await whyNot({ podAccess: { caPath } })).toStartWith(`podAccess.caPath: ${caPath} ${why}`)
      })
  )

  test("one of another time is told, and is no reason not to start", () => {
    const day = 86_400_000
    const pair = selfSignedTls(["localhost"], Date.now() - 30 * 365 * day)
    expect(dateFault(pair, Date.now())).toStartWith("expired on ")
    expect(dateFault(selfSignedTls(["localhost"], Date.now() + 9 * day), Date.now())).toStartWith(
      "is not valid before "
    )
    expect(dateFault(selfSignedTls(["localhost"], Date.now()), Date.now())).toBeUndefined()
  })
})
