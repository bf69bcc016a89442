import { Either } from "effect"

type Settings = Readonly<Record<string, unknown>>

/** A setting that has its own flag and variable, and how its text is read. Left: the reason why not. */
interface ShortForm {
  readonly flag: `--${string}`
  readonly variable: `WARMROUTE_${string}`
  readonly read: (text: string) => Either.Either<Settings, string>
}

const asIs = (settings: Settings) => Either.right(settings)

const pods = (text: string) => asIs({ pods: text.split(/[\s,]+/).filter((url) => url !== "") })

const port = (text: string): Either.Either<Settings, string> =>
  /^\d+$/.test(text)
    ? asIs({ listen: { port: Number(text) } })
    : Either.left(`"${text}" is not a port; write a number from 0 to 65535`)

/** `0.0.0.0:8080`, `[::1]:8080`, `:8080`, `8080`. */
const listen = (text: string): Either.Either<Settings, string> => {
  const [, bracketed, plain, digits] = /^(?:(?:\[([^\]]+)\]|([^:[\]]*)):)?(\d+)$/.exec(text) ?? []
  if (digits === undefined) return Either.left(`"${text}" is not HOST:PORT; write for instance 127.0.0.1:8080 or :8080`)
  const hostname = bracketed ?? plain ?? ""
  return asIs({ listen: { port: Number(digits), ...(hostname === "" ? {} : { hostname }) } })
}

const snapshot = (text: string) =>
  asIs({ snapshot: text === "off" ? { enabled: false } : { enabled: true, path: text } })

const insecure = (text: string): Either.Either<Settings, string> =>
  /^(true|1|false|0)$/i.test(text)
    ? asIs({ auth: { insecure: /^(true|1)$/i.test(text) } })
    : Either.left(`"${text}" is neither true nor false`)

/** Strongest first where two of them write the same setting. */
export const shortForms = {
  pods: { flag: "--pods", variable: "WARMROUTE_PODS", read: pods },
  port: { flag: "--port", variable: "WARMROUTE_PORT", read: port },
  listen: { flag: "--listen", variable: "WARMROUTE_LISTEN", read: listen },
  policy: { flag: "--policy", variable: "WARMROUTE_POLICY", read: (name: string) => asIs({ policy: name }) },
  hardware: { flag: "--hardware", variable: "WARMROUTE_HARDWARE", read: (name: string) => asIs({ hardware: name }) },
  snapshot: { flag: "--snapshot", variable: "WARMROUTE_SNAPSHOT", read: snapshot },
  insecure: { flag: "--insecure", variable: "WARMROUTE_INSECURE", read: insecure },
  logLevel: { flag: "--log-level", variable: "WARMROUTE_LOG_LEVEL", read: (level: string) => asIs({ log: { level } }) }
} as const satisfies Readonly<Record<string, ShortForm>>

/** Texts of the flags that were given. */
export type Flags = { readonly [Name in keyof typeof shortForms]?: string | undefined }
