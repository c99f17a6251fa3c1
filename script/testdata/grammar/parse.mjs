// Reads a PowerShell script from standard input and prints its syntax tree as JSON: {type, text, line, children}. A node that is nothing but its
// one child is left out; what is not PowerShell is of the type ERROR, what is missing of the type MISSING.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Language, Parser } from "web-tree-sitter";

await Parser.init();
const parser = new Parser();
parser.setLanguage(await Language.load(fileURLToPath(new URL("node_modules/tree-sitter-powershell/tree-sitter-powershell.wasm", import.meta.url))));

const source = readFileSync(0, "utf8");
const cursor = parser.parse(source).walk();

// children returns what is below the node at the cursor.
function children() {
  const list = [];
  if (!cursor.gotoFirstChild()) return list;
  do list.push(plain());
  while (cursor.gotoNextSibling());
  cursor.gotoParent();
  return list;
}

function plain() {
  const { startIndex, endIndex, nodeType, nodeIsMissing } = cursor;
  const line = cursor.startPosition.row + 1;
  const below = children();
  const text = source.slice(startIndex, endIndex);
  if (below.length === 1 && below[0].text === text && nodeType !== "ERROR") return below[0];
  return { type: nodeIsMissing ? "MISSING" : nodeType, text, line, children: below };
}

console.log(JSON.stringify(plain()));
