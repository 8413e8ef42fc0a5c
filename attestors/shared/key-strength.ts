/**
 * Whether an RSA public key may verify evidence. jose looks at the size only: it takes an exponent of 1, for
 * which every message is its own signature.
 */
const MIN_MODULUS_BITS = 2048
/** Verification time grows with the square of the size: a key set must not be able to buy seconds of it. */
const MAX_MODULUS_BITS = 8192
const MIN_EXPONENT = 65_537n
const MAX_EXPONENT_BITS = 33

/** @returns what is wrong with the key, or undefined. `n` and `e` are base64url (RFC 7518 section 6.3.1). */
export function rsaWeakness(n: string, e: string): string | undefined {
  const modulus = toBigInt(n)
  const exponent = toBigInt(e)
  const bits = modulus.toString(2).length
  if (bits < MIN_MODULUS_BITS) return `modulus under ${MIN_MODULUS_BITS} bits`
  if (bits > MAX_MODULUS_BITS) return `modulus over ${MAX_MODULUS_BITS} bits`
  if (modulus % 2n === 0n) return 'even modulus'
  if (exponent < MIN_EXPONENT) return `exponent under ${MIN_EXPONENT}`
  if (exponent % 2n === 0n) return 'even exponent'
  if (exponent.toString(2).length > MAX_EXPONENT_BITS) return `exponent over ${MAX_EXPONENT_BITS} bits`
  return hasRocaFingerprint(modulus) ? 'ROCA: the modulus can be factored (CVE-2017-15361)' : undefined
}

/**
 * Keys from Infineon's RSALib are powers of 65537 modulo every small prime. A sound modulus passes all of
 * these by chance about once in 2^27 (Nemec et al., "The Return of Coppersmith's Attack", section 2.3).
 */
const ROCA_PRIMES = [11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157]
const ROCA_RESIDUES = ROCA_PRIMES.map(prime => ({ prime: BigInt(prime), residues: powersOf65537(prime) }))

function hasRocaFingerprint(modulus: bigint): boolean {
  return ROCA_RESIDUES.every(({ prime, residues }) => residues.has(Number(modulus % prime)))
}

function powersOf65537(prime: number): ReadonlySet<number> {
  const residues = new Set<number>()
  for (let power = 1; !residues.has(power); power = (power * (65_537 % prime)) % prime) residues.add(power)
  return residues
}

function toBigInt(base64url: string): bigint {
  const hex = Buffer.from(base64url, 'base64url').toString('hex')
  return hex === '' ? 0n : BigInt(`0x${hex}`)
}
