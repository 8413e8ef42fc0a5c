/** Just enough XML for the answers of the query, EC2 and S3 protocols. */

/** A tree: keys are tags, an array repeats its tag, undefined leaves it out. */
export type Xml = string | number | boolean | { readonly [tag: string]: Xml | readonly Xml[] | undefined }

/** The document with one root element in the given namespace. */
export function xmlDocument(root: string, namespace: string | undefined, content: Xml): string {
  const attribute = namespace === undefined ? '' : ` xmlns="${escapeText(namespace)}"`
  return `<?xml version="1.0" encoding="UTF-8"?>\n<${root}${attribute}>${children(content)}</${root}>`
}

function children(content: Xml): string {
  if (typeof content !== 'object') return escapeText(String(content))
  return Object.entries(content)
    .flatMap(([tag, value]) => asList(value).map(item => `<${tag}>${children(item)}</${tag}>`))
    .join('')
}

function asList(value: Xml | readonly Xml[] | undefined): readonly Xml[] {
  if (value === undefined) return []
  return Array.isArray(value) ? value : [value as Xml]
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
}

function escapeText(text: string): string {
  return text.replace(/[&<>"]/g, character => ENTITIES[character] ?? '')
}
