import { Glob } from "bun"
import { describe, expect, test } from "bun:test"
import { existsSync, readFileSync } from "node:fs"
import { basename, dirname, join } from "node:path"
import ts from "typescript"
import packageJson from "../package.json"
import { importsOf, memberRead, nodesOf, placeOf, repoDir, type SourceFile, sourceFiles } from "./lib/sourceFiles.ts"

const product = sourceFiles("src", "actors", "config")
const everything = [...product, ...sourceFiles("bench", "test")]

const inside = (path: string, ...folders: ReadonlyArray<string>): boolean =>
  folders.some((folder) => path === folder || path.startsWith(`${folder}/`))

const filesIn = (...folders: ReadonlyArray<string>): ReadonlyArray<SourceFile> =>
  product.filter((file) => inside(file.path, ...folders))

/** Who may import whom (DESIGN 3). `ours` are paths from the root, `packages` are names; undefined allows any. */
const arrows: ReadonlyArray<
  { from: string; ours: ReadonlyArray<string>; packages: ReadonlyArray<string> | undefined }
> = [
  { from: "src/core", ours: ["src/core"], packages: [] },
  { from: "src/policies", ours: ["src/core", "src/policies"], packages: ["effect"] },
  { from: "src/errors.ts", ours: [], packages: [] },
  { from: "src/vllm", ours: ["src/core", "src/vllm"], packages: undefined },
  { from: "src/discovery", ours: ["src/core", "src/discovery"], packages: undefined },
  { from: "src/storage", ours: ["src/core", "src/storage"], packages: undefined },
  { from: "src/telemetry", ours: ["src/core", "src/telemetry"], packages: undefined },
  { from: "src/emulator", ours: ["src/core", "src/emulator"], packages: undefined },
  {
    from: "src/simulator",
    ours: ["src/core", "src/policies", "src/emulator/engine", "src/simulator"],
    packages: ["effect"]
  },
  {
    from: "actors",
    ours: [
      "actors",
      "src/core",
      "src/policies",
      "src/errors.ts",
      "src/vllm",
      "src/discovery",
      "src/storage",
      "src/telemetry"
    ],
    packages: undefined
  },
  {
    from: "src/http",
    ours: ["src/http", "src/core", "src/policies", "src/errors.ts", "src/vllm", "src/telemetry", "actors"],
    packages: undefined
  },
  {
    from: "src/extproc",
    ours: ["src/extproc", "src/http", "src/core", "src/errors.ts", "actors"],
    packages: undefined
  },
  { from: "config", ours: ["config", "actors", "src", "package.json"], packages: undefined },
  { from: "src/cli", ours: ["config", "actors", "src", "package.json"], packages: undefined }
]

/** Lines of complaint, so that a failure shows every place at once. */
const complaints = (
  files: ReadonlyArray<SourceFile>,
  complain: (node: ts.Node, file: SourceFile) => string | undefined
): ReadonlyArray<string> =>
  files.flatMap((file) =>
    [...nodesOf(file.tree)].flatMap((node) => {
      const text = complain(node, file)
      return text === undefined ? [] : [`${placeOf(file, node)} ${text}`]
    })
  )

describe("imports", () => {
  test.each(arrows)("$from imports only what lies below it", ({ from, ours, packages }) => {
    const wrong = filesIn(from).flatMap(importsOf).filter(({ target, specifier }) =>
      target === undefined
        ? packages?.some((name) => specifier === name || specifier.startsWith(`${name}/`)) === false
        : !inside(target, ...ours)
    )
    expect(wrong.map(({ place, specifier }) => `${place} imports ${specifier}`)).toEqual([])
  })

  test("every folder of the product is named by a rule", () => {
    const unnamed = product.filter((file) => !arrows.some(({ from }) => inside(file.path, from)))
    expect(unnamed.map((file) => file.path)).toEqual([])
  })

  test("only the command line itself knows the command line", () => {
    const wrong = product.filter((file) => !inside(file.path, "src/cli")).flatMap(importsOf)
      .filter(({ target }) => target !== undefined && inside(target, "src/cli"))
    expect(wrong.map(({ place }) => place)).toEqual([])
  })

  test("relative imports carry the file's extension", () => {
    const wrong = everything.flatMap(importsOf).filter(({ target }) =>
      target !== undefined && !/\.(ts|json|yaml)$/.test(target)
    )
    expect(wrong.map(({ place, specifier }) => `${place} ${specifier}`)).toEqual([])
  })

  test("mailboxes and deferreds are touched in actors/runtime only", () => {
    const wrong = product.filter((file) => !inside(file.path, "actors/runtime")).flatMap((file) =>
      importsOf(file).filter(({ specifier }) => /^effect\/(Mailbox|Deferred)$/.test(specifier))
    )
    expect(wrong.map(({ place }) => place)).toEqual([])
    const named = complaints(
      product.filter((file) => !inside(file.path, "actors/runtime")),
      (node) =>
        ts.isImportSpecifier(node) && /^(Mailbox|Deferred)$/.test((node.propertyName ?? node.name).text)
          ? node.name.text
          : undefined
    )
    expect(named).toEqual([])
  })
})

describe("files", () => {
  test("no file is longer than 500 lines", () => {
    expect(everything.filter((file) => file.lineCount > 500).map((file) => `${file.path} ${file.lineCount}`)).toEqual(
      []
    )
  })

  test("a file of the product above 300 lines says why it is one file", () => {
    const wrong = product.filter((file) => file.lineCount > 300 && !/\bone[\s*]+file\b/i.test(file.tree.text))
    expect(wrong.map((file) => `${file.path} ${file.lineCount}`)).toEqual([])
  })

  test("no function of the product is longer than 70 lines", () => {
    const wrong = complaints(product, (node, file) => {
      if (!ts.isFunctionLike(node) || !("body" in node) || node.body === undefined) return undefined
      const lineOf = (position: number): number => file.tree.getLineAndCharacterOfPosition(position).line
      const lines = lineOf(node.getEnd()) - lineOf(node.getStart()) + 1
      return lines > 70 ? `${lines} lines` : undefined
    })
    expect(wrong).toEqual([])
  })

  test("no file is called utils, common or helpers", () => {
    const wrong = everything.filter((file) => /(^|\/)(utils?|common|helpers?)(\.|\/)/i.test(file.path))
    expect(wrong.map((file) => file.path)).toEqual([])
  })

  test("no file only passes on what others export", () => {
    const wrong = everything.filter((file) =>
      file.tree.statements.length > 0 &&
      file.tree.statements.every((each) => ts.isExportDeclaration(each) && each.moduleSpecifier !== undefined)
    )
    expect(wrong.map((file) => file.path)).toEqual([])
  })

  test("a policy's type is its file name", () => {
    // A plug-in is kebab-case; what plug-ins share is named in camelCase or PascalCase.
    const plugins = product.filter((file) => /^src\/policies\/.*\/[a-z0-9-]+\.ts$/.test(file.path))
    const wrong = plugins.flatMap((file) => {
      const declared = [...nodesOf(file.tree)].filter((node) => ts.isVariableDeclaration(node))
        .find((node) => node.name.getText() === "type")?.initializer
      const type = declared !== undefined && ts.isStringLiteral(declared) ? declared.text : undefined
      return type === basename(file.path, ".ts") ? [] : [`${file.path} has the type ${type}`]
    })
    expect(wrong).toEqual([])
  })
})

describe("code", () => {
  test("only the command line prints", () => {
    const wrong = complaints(
      product.filter((file) => !inside(file.path, "src/cli")),
      (node) => memberRead(node)?.startsWith("console.") === true ? node.getText() : undefined
    )
    expect(wrong).toEqual([])
  })

  test("core, the engine model and the simulator know neither the clock nor chance", () => {
    const pure = product.filter((file) => /^src\/(core|emulator\/engine|simulator)\//.test(file.path))
    const forbidden = /^(Date|performance|setTimeout|setInterval|setImmediate|queueMicrotask|process|Bun|crypto)$/
    const wrong = complaints(pure, (node) => {
      if (memberRead(node) === "Math.random") return "Math.random"
      if (!ts.isIdentifier(node) || !forbidden.test(node.text)) return undefined
      const isMemberName = ts.isPropertyAccessExpression(node.parent) && node.parent.name === node
      return isMemberName ? undefined : node.text
    })
    expect(wrong).toEqual([])
  })

  test("a pod is called a pod", () => {
    const synonym = /^(endpoint|backend|worker)s?$/
    // What is read there has the names that llm-d gave it.
    const wrong = product.filter((file) => !inside(file.path, "config/llmd")).flatMap((file) => {
      const names = [...nodesOf(file.tree)].filter((node) => ts.isIdentifier(node)) as ReadonlyArray<ts.Identifier>
      // A file that starts a Web Worker may call it what the platform calls it.
      const usesWebWorker = names.some((node) => node.text === "Worker")
      // What is spelt in snake_case is a name on vLLM's wire.
      return names.filter((node) => !node.text.includes("_")).filter((node) => {
        const words = node.text.split(/(?<=[a-z0-9])(?=[A-Z])/).map((word) => word.toLowerCase())
        return words.some((word) => synonym.test(word) && !(usesWebWorker && word.startsWith("worker")))
      }).map((node) => `${placeOf(file, node)} ${node.text}`)
    })
    expect(wrong).toEqual([])
  })

  test("effects are run by the command line, tests and benches only", () => {
    const wrong = complaints(
      product.filter((file) => !inside(file.path, "src/cli")),
      (node) => /^Effect\.run[A-Z]/.test(memberRead(node) ?? "") ? node.getText() : undefined
    )
    expect(wrong).toEqual([])
  })

  test("no module holds a variable that changes", () => {
    const wrong = product.flatMap((file) =>
      file.tree.statements.filter((statement) =>
        ts.isVariableStatement(statement) && (statement.declarationList.flags & ts.NodeFlags.Const) === 0
      ).map((statement) => placeOf(file, statement))
    )
    expect(wrong).toEqual([])
  })
})

describe("documentation", () => {
  // What fixtures say is about where they came from; the table of peers' bugs has a test of its own.
  const pages = ["*.md", "{src,actors,config,bench,test}/**/*.md"]
    .flatMap((places) => Array.from(new Glob(places).scanSync({ cwd: repoDir })))
    .filter((path) => !/\/(node_modules|\.work)\//.test(path) && !inside(path, "test/fixtures", "test/peers"))
    .map((path) => ({ path, text: readFileSync(join(repoDir, path), "utf8") }))

  test("links lead to files that exist", () => {
    const wrong = pages.flatMap(({ path, text }) =>
      Array.from(text.matchAll(/\]\((?!https?:)([^)#\s]+)/g), ([, target = ""]) => target)
        .filter((target) => !existsSync(join(repoDir, dirname(path), target)))
        .map((target) => `${path} links to ${target}`)
    )
    expect(pages.length).toBeGreaterThan(0)
    expect(wrong).toEqual([])
  })

  test("a path of the repository that it names exists", () => {
    // What a run leaves, such as bench/.work, need not be there.
    const named = /`((?:src|actors|config|bench|test)\/(?!\.)[\w./-]+)`/g
    const wrong = pages.flatMap(({ path, text }) =>
      Array.from(text.matchAll(named), ([, target = ""]) => target)
        .filter((target) => !existsSync(join(repoDir, target)))
        .map((target) => `${path} names ${target}`)
    )
    expect(wrong).toEqual([])
  })
})

test("every dependency is pinned to one version", () => {
  const versions = Object.entries({ ...packageJson.dependencies, ...packageJson.devDependencies })
  expect(versions.filter(([, version]) => !/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(version))).toEqual([])
})
