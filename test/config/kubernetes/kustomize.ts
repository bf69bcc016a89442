import { join } from "node:path"

/** An object of a manifest; every field is read with a path. */
export type Manifest = Readonly<Record<string, unknown>>

const root = join(import.meta.dir, "../../../config/kubernetes")

const parsed = async (path: string): Promise<ReadonlyArray<Manifest>> => {
  const text = await Bun.file(join(root, path)).text()
  return text.split(/^---$/m).map((part) => Bun.YAML.parse(part) as Manifest)
}

/** All objects of a file below `config/kubernetes`. */
export const manifests = parsed

/** The text of a file below `config/kubernetes`. */
export const manifestText = (path: string): Promise<string> => Bun.file(join(root, path)).text()

/** What tells the entries of these lists apart (Kubernetes' patch merge keys); other lists are replaced as a whole. */
const mergeKeys: Readonly<Record<string, ReadonlyArray<string>>> = {
  containers: ["name"],
  volumes: ["name"],
  volumeMounts: ["mountPath"],
  ports: ["containerPort", "port"]
}

const isTree = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value)

const merged = (before: unknown, patch: unknown, key: string): unknown => {
  if (isTree(before) && isTree(patch)) {
    const result: Record<string, unknown> = { ...before }
    for (const [name, value] of Object.entries(patch)) {
      if (value === null) delete result[name]
      else result[name] = merged(before[name], value, name)
    }
    return result
  }
  if (!Array.isArray(before) || !Array.isArray(patch)) return patch
  const mergeKey = mergeKeys[key]?.find((name) => patch.every((entry) => isTree(entry) && name in entry))
  if (mergeKey === undefined) return patch
  const same = (one: unknown, other: unknown): boolean =>
    isTree(one) && isTree(other) && one[mergeKey] === other[mergeKey]
  const known = before.map((entry) => {
    const change = patch.find((each) => same(each, entry))
    return change === undefined ? entry : merged(entry, change, "")
  })
  return [...known, ...patch.filter((entry) => !before.some((each) => same(each, entry)))]
}

const nameOf = (object: Manifest): string => `${String(object["kind"])}/${(object["metadata"] as Manifest)["name"]}`

interface Kustomization {
  readonly resources?: ReadonlyArray<string>
  readonly patches?: ReadonlyArray<{ readonly path: string }>
  readonly configMapGenerator?: ReadonlyArray<{ readonly name: string; readonly files: ReadonlyArray<string> }>
}

/**
 * What `kubectl kustomize` gives for a folder and components on top, as far as these manifests need: resources, patches
 * by strategic merge, and generated ConfigMaps. Labels that are added to all are left out.
 */
export const kustomized = async (
  folder: string,
  components: ReadonlyArray<string> = []
): Promise<ReadonlyArray<Manifest>> => {
  const objects: Array<Manifest> = []
  for (const each of [folder, ...components]) {
    const [read] = await parsed(`${each}/kustomization.yaml`)
    const { configMapGenerator, patches, resources } = read as Kustomization
    for (const resource of resources ?? []) {
      const found = resource === "../base" ? await kustomized("base") : await parsed(`${each}/${resource}`)
      objects.push(...found)
    }
    for (const { files, name } of configMapGenerator ?? []) {
      const data = Object.fromEntries(
        await Promise.all(files.map(async (file) => [file, await manifestText(`${each}/${file}`)]))
      )
      objects.push({ apiVersion: "v1", kind: "ConfigMap", metadata: { name }, data })
    }
    for (const { path } of patches ?? []) {
      for (const patch of await parsed(`${each}/${path}`)) {
        const index = objects.findIndex((object) => nameOf(object) === nameOf(patch))
        if (index < 0) throw new Error(`${path} patches nothing`)
        objects[index] = merged(objects[index], patch, "") as Manifest
      }
    }
  }
  return objects
}

/** The value at a path such as `spec.template.spec.containers.0.name`; undefined where there is none. */
export const at = (object: unknown, path: string): unknown =>
  path.split(".").reduce<unknown>((value, key) => (value as Record<string, unknown> | undefined)?.[key], object)

/** The only object of that kind. */
export const theOnly = (objects: ReadonlyArray<Manifest>, kind: string): Manifest => {
  const [only, ...others] = objects.filter((object) => object["kind"] === kind)
  if (only === undefined || others.length > 0) throw new Error(`not exactly one ${kind}`)
  return only
}
