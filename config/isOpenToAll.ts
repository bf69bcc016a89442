import type { GatewayConfig } from "./GatewayConfig.ts"

/** Whether other machines reach the gateway without a key, and nobody said that this is meant. */
export const isOpenToAll = ({ auth, listen: { hostname } }: Pick<GatewayConfig, "auth" | "listen">): boolean =>
  !auth.insecure && !asksForKeys({ auth }) && !isLoopback(hostname)

/** Whether clients must bring a key. */
export const asksForKeys = ({ auth }: Pick<GatewayConfig, "auth">): boolean =>
  auth.keysPath !== undefined || auth.keys.length > 0

const isLoopback = (hostname: string): boolean =>
  hostname === "localhost" || hostname === "::1" || /^127\.\d+\.\d+\.\d+$/.test(hostname)
