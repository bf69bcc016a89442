import { Array as Arr, Cause, Context, Layer, Logger, LogLevel } from "effect"
import type { GatewayConfig } from "../GatewayConfig.ts"

/** The log of a running gateway, which takes other settings. */
export class LogSettings extends Context.Tag("warmroute/LogSettings")<LogSettings, {
  readonly replace: (log: GatewayConfig["log"]) => void
}>() {}

/** The gateway's log on stderr, in the format and from the level on that the configuration names. */
export const layer = (log: GatewayConfig["log"]): Layer.Layer<LogSettings> => {
  let now = log
  const logger = Logger.make<unknown, void>((line) => {
    if (LogLevel.lessThan(line.logLevel, levels[now.level])) return
    loggers[now.format].log(line)
  })
  return Layer.mergeAll(
    Logger.replace(Logger.defaultLogger, logger),
    // A fiber keeps the level that it began with, so the logger itself leaves out what is below.
    Logger.minimumLogLevel(LogLevel.All),
    Layer.succeed(LogSettings, {
      replace: (log) => {
        now = log
      }
    })
  )
}

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

const loggers = {
  text: Logger.withConsoleError(textLogger),
  json: Logger.withConsoleError(Logger.jsonLogger)
}

const names: ReadonlyMap<string, string> = new Map([["WARN", "warning"]])
