import { SchemaAST } from "effect"

type Path = ReadonlyArray<PropertyKey>

/** What is written, not what it decodes to. */
const written = (ast: SchemaAST.AST): SchemaAST.AST => {
  if (SchemaAST.isTransformation(ast)) return written(ast.from)
  if (SchemaAST.isRefinement(ast)) return written(ast.from)
  if (SchemaAST.isSuspend(ast)) return written(ast.f())
  if (SchemaAST.isUnion(ast)) {
    const members = ast.types.filter((member) => !SchemaAST.isUndefinedKeyword(member))
    return members.length === 1 && members[0] !== undefined ? written(members[0]) : ast
  }
  return ast
}

const inside = (ast: SchemaAST.AST, key: PropertyKey): SchemaAST.AST | undefined => {
  const here = written(ast)
  if (SchemaAST.isTupleType(here)) return here.rest[0]?.type
  if (!SchemaAST.isTypeLiteral(here)) return undefined
  return here.propertySignatures.find(({ name }) => name === key)?.type ?? here.indexSignatures[0]?.type
}

const at = (ast: SchemaAST.AST, path: Path): SchemaAST.AST | undefined =>
  path.reduce<SchemaAST.AST | undefined>((found, key) => found === undefined ? undefined : inside(found, key), ast)

/** Names that may be written at a path; none where any name may, or where no section is. */
export const keysAt = (ast: SchemaAST.AST, path: Path): ReadonlyArray<string> => {
  const found = at(ast, path)
  const here = found === undefined ? undefined : written(found)
  return here !== undefined && SchemaAST.isTypeLiteral(here)
    ? here.propertySignatures.map(({ name }) => String(name))
    : []
}

/** A setting that is no section: its path and what kind of scalar its text stands for. */
export interface Leaf {
  readonly path: ReadonlyArray<string>
  readonly kind: "number" | "boolean" | "text" | "list" | "map"
}

/** Every setting, in the order of the schema. Settings inside a list count as the list. */
export const leavesOf = (ast: SchemaAST.AST, path: ReadonlyArray<string> = []): ReadonlyArray<Leaf> => {
  const here = written(ast)
  if (SchemaAST.isTypeLiteral(here) && here.propertySignatures.length > 0) {
    return here.propertySignatures.flatMap(({ name, type }) => leavesOf(type, [...path, String(name)]))
  }
  return [{ path, kind: kindOf(here) }]
}

const kindOf = (ast: SchemaAST.AST): Leaf["kind"] => {
  if (SchemaAST.isNumberKeyword(ast)) return "number"
  if (SchemaAST.isBooleanKeyword(ast)) return "boolean"
  if (SchemaAST.isTupleType(ast)) return "list"
  return SchemaAST.isTypeLiteral(ast) ? "map" : "text"
}
