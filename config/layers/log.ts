import { Array as Arr, Cause, Layer, Logger, LogLevel } from "effect"
import type { GatewayConfig } from "../GatewayConfig.ts"

/** The gateway's log on stderr, in the format and from the level on that the configuration names. */
export const layer = ({ format, level }: GatewayConfig["log"]): Layer.Layer<never> =>
  Layer.merge(
    Logger.replace(Logger.defaultLogger, Logger.withConsoleError(format === "json" ? Logger.jsonLogger : textLogger)),
    Logger.minimumLogLevel(levels[level])
  )

const levels: Readonly<Record<GatewayConfig["log"]["level"], LogLevel.LogLevel>> = {
  all: LogLevel.All,
  trace: LogLevel.Trace,
  debug: LogLevel.Debug,
  info: LogLevel.Info,
  warning: LogLevel.Warning,
  error: LogLevel.Error,
  fatal: LogLevel.Fatal,
  none: LogLevel.None
}

/** `2026-11-22T14:22:08.177Z warning pod 10.0.0.7:8000 is unhealthy …`, and a cause below it. */
const textLogger = Logger.make(({ cause, date, logLevel, message }) => {
  const words = Arr.ensure(message).map((part) => typeof part === "string" ? part : Bun.inspect(part)).join(" ")
  const why = Cause.isEmpty(cause) ? "" : `\n${Cause.pretty(cause, { renderErrorCause: true })}`
  return `${date.toISOString()} ${names.get(logLevel.label) ?? logLevel.label.toLowerCase()} ${words}${why}`
})

const names: ReadonlyMap<string, string> = new Map([["WARN", "warning"]])
