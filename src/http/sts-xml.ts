/** Just enough XML for the answers of AWS's query protocol. */

/** A tree: keys are tags in order, undefined leaves one out. */
export type Xml = { readonly [tag: string]: Xml | string | undefined }

/** The namespace of the one version of STS that there is. */
const NAMESPACE = 'https://sts.amazonaws.com/doc/2011-06-15/'

export function xmlDocument(root: string, content: Xml): string {
  return `<?xml version="1.0" encoding="UTF-8"?>\n<${root} xmlns="${NAMESPACE}">${children(content)}</${root}>\n`
}

function children(content: Xml): string {
  return Object.entries(content)
    .map(([tag, value]) => (value === undefined ? '' : `<${tag}>${inner(value)}</${tag}>`))
    .join('')
}

const inner = (value: Xml | string) => (typeof value === 'string' ? escaped(value) : children(value))

const ENTITIES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;' }

/** Characters that XML 1.0 cannot hold, not even as an entity, become question marks. */
function escaped(text: string): string {
  return text
    .replaceAll(/[^\t\n\x20-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/gu, '?')
    .replaceAll(/[&<>]/g, character => ENTITIES[character]!)
}
