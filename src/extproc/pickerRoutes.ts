import { type ProxyRoute, proxyRoutes } from "../http/routes.ts"

/** What no route of ours matches goes to any pod: Envoy's routes decide what may pass. */
export const otherRoute: ProxyRoute = { path: "other", prompt: "none", generates: false }

const byPath = new Map(proxyRoutes.map((route) => [route.path, route]))
/** Longest first, so that the most telling end of a path wins. */
const byLength = [...proxyRoutes].sort((a, b) => b.path.length - a.path.length)

/** The route of an Envoy `:path`; a prefix before a known path, which an Envoy route may take off, does not matter. */
export const routeOfPath = (target: string): ProxyRoute => {
  const query = target.indexOf("?")
  const path = query < 0 ? target : target.slice(0, query)
  return byPath.get(path) ?? byLength.find((route) => path.endsWith(route.path)) ?? otherRoute
}
