import { createPrivateKey, X509Certificate } from "node:crypto"

/** A certificate with its chain, and the key, PEM. */
export interface TlsPair {
  readonly cert: string
  readonly key: string
}

/** Throws in words when the certificate or the key can't be read, or they don't belong together. */
export const checkPair = ({ cert, key }: TlsPair): void => {
  if (!new X509Certificate(cert).checkPrivateKey(createPrivateKey(key))) {
    throw new Error("the key does not belong to the certificate")
  }
}
