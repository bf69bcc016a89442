import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto"

/** A certificate with its chain, and the key, PEM. */
export interface TlsPair {
  readonly cert: string
  readonly key: string
}

/** A pair that can't be used: which part, and what it is instead, as words that follow its name. */
export class BadPair extends Error {
  readonly part: keyof TlsPair

  constructor(part: keyof TlsPair, why: string, cause?: unknown) {
    super(why, { cause })
    this.part = part
  }
}

/** Throws BadPair when a certificate or the key can't be read, or they don't belong together. */
export const checkPair = ({ cert, key }: TlsPair): void => {
  const [own] = readCertificates(cert)
  if (own?.checkPrivateKey(readKey(key)) !== true) throw new BadPair("key", "does not belong to the certificate")
}

const pemBlock = /-----BEGIN ([A-Z0-9 ]+)-----[^]*?(?:-----END \1-----|$)/g

/** All of a PEM text, at least one. Throws BadPair. */
export const readCertificates = (text: string): ReadonlyArray<X509Certificate> => {
  const blocks = [...text.matchAll(pemBlock)]
  const certificates = blocks.filter(([, kind = ""]) => kind.endsWith("CERTIFICATE")).map(([block]) => block)
  if (certificates.length === 0) throw notThere("cert", text, blocks)
  // As `cat` makes them of files without a last line break.
  if (text.includes("----------")) {
    throw new BadPair("cert", "has the end of one block and the beginning of the next on a line")
  }
  return certificates.map((block, index) => {
    try {
      return new X509Certificate(block)
    } catch (cause) {
      const which = certificates.length === 1 ? "" : `certificate ${index + 1} of ${certificates.length}: `
      throw new BadPair("cert", `can't be read: ${which}it is cut off or damaged`, cause)
    }
  })
}

/** Why clients would refuse the first certificate at this time, if they would. */
export const dateFault = ({ cert }: TlsPair, nowMs: number): string | undefined => {
  const [certificate] = readCertificates(cert)
  if (certificate === undefined) return undefined
  const { validFrom, validTo } = certificate
  if (Date.parse(validTo) < nowMs) return `expired on ${validTo}`
  return Date.parse(validFrom) > nowMs ? `is not valid before ${validFrom}` : undefined
}

const readKey = (text: string): KeyObject => {
  const blocks = [...text.matchAll(pemBlock)]
  if (!blocks.some(([, kind = ""]) => kind.endsWith("PRIVATE KEY"))) throw notThere("key", text, blocks)
  try {
    return createPrivateKey(text)
  } catch (cause) {
    const why = text.includes("ENCRYPTED")
      ? "is encrypted; `openssl pkey -in FILE` decrypts it"
      : "can't be read: it is cut off or damaged"
    throw new BadPair("key", why, cause)
  }
}

const notThere = (part: keyof TlsPair, text: string, blocks: ReadonlyArray<RegExpExecArray>): BadPair => {
  const [what, begin] = part === "key" ? ["private key", "PRIVATE KEY"] : ["certificate", "CERTIFICATE"]
  const is = text.trim() === ""
    ? "is empty"
    : blocks.length === 0
    ? "is not PEM text"
    : `holds ${blocks.map(([, kind]) => kind).join(", ")} and no ${what}`
  return new BadPair(part, `${is}; it must have a ${what}, which begins with "-----BEGIN ${begin}-----"`)
}
