import { Glob } from "bun"
import { readFileSync } from "node:fs"
import { dirname, join, normalize } from "node:path"
import ts from "typescript"

export const repoDir = new URL("../..", import.meta.url).pathname

/** One TypeScript file of the repository, parsed. `path` is relative to the root. */
export interface SourceFile {
  readonly path: string
  readonly lineCount: number
  readonly tree: ts.SourceFile
}

/** The files below some folders of the repository, ordered by path. */
export const sourceFiles = (...folders: ReadonlyArray<string>): ReadonlyArray<SourceFile> => {
  const paths = folders.flatMap((folder) => Array.from(new Glob(`${folder}/**/*.ts`).scanSync({ cwd: repoDir })))
    .filter((path) => !path.includes("node_modules/") && !path.includes("/.work/"))
  return paths.sort().map((path) => {
    const text = readFileSync(join(repoDir, path), "utf8")
    return {
      path,
      lineCount: text.split("\n").length - 1,
      tree: ts.createSourceFile(path, text, ts.ScriptTarget.ESNext, true)
    }
  })
}

/** Every node of the tree, parents first. */
export function* nodesOf(node: ts.Node): Generator<ts.Node> {
  yield node
  const children: Array<ts.Node> = []
  ts.forEachChild(node, (child) => void children.push(child))
  for (const child of children) yield* nodesOf(child)
}

/** `path:line`, for a message that an editor can open. */
export const placeOf = (file: SourceFile, node: ts.Node): string =>
  `${file.path}:${file.tree.getLineAndCharacterOfPosition(node.getStart()).line + 1}`

export interface Import {
  readonly place: string
  /** As written. */
  readonly specifier: string
  /** Path from the root for a relative import, undefined for a package. */
  readonly target: string | undefined
}

const specifierOf = (node: ts.Node): ts.Expression | undefined => {
  if (ts.isImportDeclaration(node)) return node.moduleSpecifier
  if (ts.isExportDeclaration(node)) return node.moduleSpecifier
  if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) return node.argument.literal as ts.Expression
  if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) return node.arguments[0]
  return undefined
}

/** Everything a file imports or re-exports, types too. */
export const importsOf = (file: SourceFile): ReadonlyArray<Import> => {
  const imports: Array<Import> = []
  for (const node of nodesOf(file.tree)) {
    const specifier = specifierOf(node)
    if (specifier === undefined || !ts.isStringLiteralLike(specifier)) continue
    const relative = specifier.text.startsWith(".")
    const target = relative ? normalize(join(dirname(file.path), specifier.text)) : undefined
    imports.push({ place: placeOf(file, node), specifier: specifier.text, target })
  }
  return imports
}

/** `a.b` when the node reads the member b of the plain name a. */
export const memberRead = (node: ts.Node): string | undefined =>
  ts.isPropertyAccessExpression(node) && ts.isIdentifier(node.expression)
    ? `${node.expression.text}.${node.name.text}`
    : undefined
