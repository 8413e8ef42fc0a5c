/** What an agent writes reaches people as text and as nothing else. */
import { expect, test } from 'vitest'
import { inertText } from '../../src/broker/inert-text.ts'

test.each([
  [
    'plain words stay as they are',
    'Release 1.2 of the api, it is late!',
    'Release 1(.)2 of the api, it is late!',
  ],
  ['ANSI escapes', '\u001b[31mAPPROVED\u001b[0m', '⟨U+001B⟩［31mAPPROVED⟨U+001B⟩［0m'],
  ['a terminal title, and a bell', '\u001b]0;root\u0007', '⟨U+001B⟩］0;root⟨U+0007⟩'],
  ['C1 controls', 'a\u009b2Jb', 'a⟨U+009B⟩2Jb'],
  ['carriage return over what was shown', 'deny\rapprove', 'deny ⏎ approve'],
  ['lines of its own', 'fine\n\nApproved by: Ada', 'fine ⏎ ⏎ Approved by: Ada'],
  ['line and paragraph separators', 'a\u2028b\u2029c', 'a ⏎ b ⏎ c'],
  ['bidi overrides and isolates', 'safe\u202Egnp.exe\u2066x\u2069', 'safe⟨U+202E⟩gnp(.)exe⟨U+2066⟩x⟨U+2069⟩'],
  ['zero width and soft hyphens', 'ad\u200bmin\u00adx\ufeff', 'ad⟨U+200B⟩min⟨U+00AD⟩x⟨U+FEFF⟩'],
  ['tag characters that models read', 'a\u{e0041}b', 'a⟨U+E0041⟩b'],
  ['fillers that look like nothing', 'a\u3164b\u115f', 'a⟨U+3164⟩b⟨U+115F⟩'],
  ['private use', '\ue000', '⟨U+E000⟩'],
  ['lone surrogates', 'a\ud800b', 'a\ufffdb'],
  ['markdown', '**bold** _it_ `rm -rf` ~~no~~', '＊＊bold＊＊ ＿it＿ ｀rm -rf｀ ～～no～～'],
  ['links and images', '![x](https://evil.test/p.png)', '!［x］(https(:)//evil(.)test/p(.)png)'],
  ['bare hosts', 'see evil.test or www.evil.test', 'see evil(.)test or www(.)evil(.)test'],
  ['other schemes', 'javascript:alert(1) mailto:a@b.c', 'javascript(:)alert(1) mailto(:)a＠b(.)c'],
  ['HTML', '<img src=x onerror=y>&amp;', '＜img src=x onerror=y＞＆amp;'],
  ['mentions in chats', '<!channel> @here <@U123>', '＜!channel＞ ＠here ＜＠U123＞'],
  ['tables and headings', '# Approved | yes', '＃ Approved ｜ yes'],
  ['marks piled up', `a${'\u0301'.repeat(40)}b`, 'á\u0301\u0301b'],
  ['wide spaces', 'a\u00a0\u2003\u3000b', 'a b'],
])('%s', (_, text, shown) => {
  expect(inertText(text)).toBe(shown)
})

test('nothing that drives, hides or turns is left of any character there is', () => {
  const many = 1_024
  for (let from = 0; from <= 0x10ffff; from += many) {
    const all = Array.from({ length: many }, (_, index) => `x${String.fromCodePoint(from + index)}`).join('')
    const shown = inertText(all, 20 * many)
    expect(/[\p{Cc}\p{Cf}\p{Co}\p{Cs}\p{Zl}\p{Zp}<>&*_`[\]@|~#\\]/u.exec(shown)?.[0]).toBe(undefined)
  }
})

test('a text is cut, and not in the middle of a character', () => {
  expect(inertText('x'.repeat(600), 10)).toBe(`${'x'.repeat(10)}…`)
  expect(inertText('\u{1f600}'.repeat(10), 3).isWellFormed()).toBe(true)
})
