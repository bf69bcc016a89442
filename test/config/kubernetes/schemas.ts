import Ajv, { type ValidateFunction } from "ajv"
import builtIn from "../../fixtures/kubernetes/schemas/kubernetes-1.37.json"
import custom from "../../fixtures/kubernetes/schemas/custom-resources.json"
import type { Manifest } from "./kustomize.ts"

type Tree = Record<string, unknown>

/** A CRD allows no field that it does not name, but its schema does not say so to a validator. */
const closed = (schema: unknown): unknown => {
  if (Array.isArray(schema)) return schema.map(closed)
  if (typeof schema !== "object" || schema === null) return schema
  const copy: Tree = Object.fromEntries(Object.entries(schema).map(([key, value]) => [key, closed(value)]))
  const isObject = copy["type"] === "object" && "properties" in copy && !("additionalProperties" in copy)
  return isObject && copy["x-kubernetes-preserve-unknown-fields"] !== true
    ? { ...copy, additionalProperties: false }
    : copy
}

/** The root of a CRD leaves metadata to Kubernetes. */
const rootOf = (definition: unknown): Tree => {
  const { properties, ...rest } = closed(definition) as Tree
  return { ...rest, properties: { ...properties as Tree, metadata: { type: "object" } } }
}

const validators = (): ReadonlyMap<string, ValidateFunction> => {
  const ajv = new Ajv({ strict: false, validateFormats: false, allErrors: true })
  ajv.addSchema({ $id: "kubernetes", definitions: builtIn.definitions })
  const found = new Map<string, ValidateFunction>()
  for (const [kind, name] of Object.entries(builtIn.kinds)) {
    found.set(kind, ajv.compile({ $ref: `kubernetes#/definitions/${name}` }))
  }
  const definitions = custom.definitions as Readonly<Record<string, unknown>>
  for (const [kind, name] of Object.entries(custom.kinds)) found.set(kind, ajv.compile(rootOf(definitions[name])))
  return found
}

const byKind = validators()

/** What the published schema of its kind has against the object; empty: nothing. */
export const faultsOf = (object: Manifest): ReadonlyArray<string> => {
  const kind = `${object["apiVersion"]}/${object["kind"]}`
  const validate = byKind.get(kind)
  if (validate === undefined) return [`there is no schema for ${kind}`]
  return validate(object)
    ? []
    : (validate.errors ?? []).map(({ instancePath, message, params }) =>
      `${kind} ${instancePath} ${message} ${JSON.stringify(params)}`
    )
}
