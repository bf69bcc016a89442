import { generateKeyPairSync, randomBytes, sign, X509Certificate } from "node:crypto"
import type { PickerTls } from "./ExtProcOptions.ts"

/** Tags of the DER elements that a certificate is made of (X.690). */
const tag = {
  boolean: 0x01,
  integer: 0x02,
  bits: 0x03,
  octets: 0x04,
  objectId: 0x06,
  utf8: 0x0c,
  utcTime: 0x17,
  generalTime: 0x18,
  sequence: 0x30,
  set: 0x31,
  dnsName: 0x82,
  version: 0xa0,
  extensions: 0xa3
} as const

const oid = {
  commonName: "550403",
  keyUsage: "551d0f",
  subjectAltName: "551d11",
  basicConstraints: "551d13",
  serverAuthentication: "2b06010505070301",
  extendedKeyUsage: "551d25",
  ecdsaWithSha256: "2a8648ce3d040302"
} as const

const yearsValid = 10

/**
 * A fresh P-256 key and a certificate that it signs itself, as proxies want that encrypt but do not verify: llm-d's
 * picker starts with such a pair too. `names` are its DNS names.
 */
export const selfSignedTls = (names: ReadonlyArray<string>, nowMs: number): PickerTls => {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" })
  const subject = der(tag.sequence, der(tag.set, der(tag.sequence, id(oid.commonName), text(names[0] ?? "picker"))))
  const algorithm = der(tag.sequence, id(oid.ecdsaWithSha256))
  const serial = randomBytes(16)
  // The first bit would make it negative, a leading zero byte would not be the shortest form.
  serial[0] = ((serial[0] ?? 0) & 0x3f) | 0x40
  const toSign = der(
    tag.sequence,
    der(tag.version, der(tag.integer, Buffer.of(2))),
    der(tag.integer, serial),
    algorithm,
    subject,
    der(tag.sequence, time(nowMs - hourMs), time(nowMs + yearsValid * 365 * 24 * hourMs)),
    subject,
    publicKey.export({ format: "der", type: "spki" }),
    der(tag.extensions, der(tag.sequence, ...extensions(names)))
  )
  const signature = sign("sha256", toSign, privateKey)
  const certificate = der(tag.sequence, toSign, algorithm, der(tag.bits, Buffer.of(0), signature))
  return {
    cert: new X509Certificate(certificate).toString(),
    key: privateKey.export({ format: "pem", type: "pkcs8" }).toString()
  }
}

const hourMs = 3_600_000

const extensions = (names: ReadonlyArray<string>): ReadonlyArray<Buffer> => [
  extension(oid.basicConstraints, true, der(tag.sequence)),
  // The first bit alone: digitalSignature.
  extension(oid.keyUsage, true, der(tag.bits, Buffer.of(7, 0x80))),
  extension(oid.extendedKeyUsage, false, der(tag.sequence, id(oid.serverAuthentication))),
  extension(oid.subjectAltName, false, der(tag.sequence, ...names.map((name) => der(tag.dnsName, Buffer.from(name)))))
]

const extension = (name: string, critical: boolean, value: Buffer): Buffer =>
  der(tag.sequence, id(name), ...(critical ? [der(tag.boolean, Buffer.of(0xff))] : []), der(tag.octets, value))

const id = (hex: string): Buffer => der(tag.objectId, Buffer.from(hex, "hex"))

const text = (value: string): Buffer => der(tag.utf8, Buffer.from(value))

/** With two digits of the year until 2049 and four from then on, as RFC 5280 wants. */
const time = (atMs: number): Buffer => {
  const digits = `${new Date(atMs).toISOString().replaceAll(/[-:T]/g, "").slice(0, 14)}Z`
  return digits < "2050" ? der(tag.utcTime, Buffer.from(digits.slice(2))) : der(tag.generalTime, Buffer.from(digits))
}

/** Tag, length, contents. */
const der = (kind: number, ...contents: ReadonlyArray<Uint8Array>): Buffer => {
  const value = Buffer.concat(contents)
  const { length } = value
  const lengthBytes = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff]
  return Buffer.concat([Buffer.from([kind, ...lengthBytes]), value])
}
