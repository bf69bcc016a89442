import { BodyTimedOut, PodUnreachable, UrlTooLong } from "../errors.ts"

export const bodyTimedOut = () => new BodyTimedOut({ message: "the request's body did not come in time" })

export const urlTooLong = (charsMax: number) =>
  new UrlTooLong({ message: `the request's URL is longer than ${charsMax} characters, the limit of this gateway` })

export const podBroke = new PodUnreachable({ message: "the pod failed" })
