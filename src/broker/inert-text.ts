/**
 * Texts of strangers, for people to read: an agent's purpose, its justification, a human's chosen name. What could
 * drive a terminal, turn the direction of reading, hide, link, mention or mark up is made visible and does nothing.
 * For reading only: what is compared, digested or kept is the text as it came.
 */

/** @param most UTF-16 code units of what comes out, an ellipsis beside. */
export function inertText(text: string, most = 500): string {
  const shown = text
    .toWellFormed()
    .normalize('NFC')
    .replaceAll(/\r\n|[\n\r\v\f\x85\u2028\u2029]/g, ' ⏎ ')
    .replaceAll('\t', ' ')
    // Control, format (bidi, zero width, tags), private use, unassigned: by their number.
    .replaceAll(/\u034f|[\p{Cc}\p{Cf}\p{Co}\p{Cn}\u115f\u1160\u3164\uffa0]/gu, numbered)
    // Variation selectors hide data; marks piled up cover their neighbours.
    .replaceAll(/[\ufe00-\ufe0f\u{e0100}-\u{e01ef}]/gu, '')
    .replaceAll(/(\p{M}{2})\p{M}+/gu, '$1')
    .replaceAll(/\p{Zs}+/gu, ' ')
    .replaceAll(/[*_`~#|<>&[\]\\@]/g, fullWidth)
    .replaceAll(/:(?=\/\/)|:(?=[\p{L}\p{N}%])/gu, '(:)')
    .replaceAll(/(?<=[\p{L}\p{N}])\.(?=[\p{L}\p{N}])/gu, '(.)')
    .trim()
  return shown.length <= most ? shown : `${shown.slice(0, most).toWellFormed()}…`
}

const numbered = (one: string) => `⟨U+${one.codePointAt(0)!.toString(16).toUpperCase().padStart(4, '0')}⟩`

/** The same sign, as no markup language knows it. */
const fullWidth = (one: string) => String.fromCodePoint(one.codePointAt(0)! + 0xfee0)
