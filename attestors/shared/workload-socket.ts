/** Where the SPIFFE Workload API is: a Unix socket of this host. */
import { z } from 'zod'

/** A path as it stands in the settings. */
export const workloadSocket = z
  .string()
  .max(107, 'expected a path of at most 107 characters, as a Unix socket has')
  .regex(/^\/[^\0]+$/, 'expected an absolute path')

/**
 * @param uri `SPIFFE_ENDPOINT_SOCKET`: `unix:///run/spire/agent.sock` (SPIFFE Workload Endpoint section 4)
 * @returns the path
 * @throws Error where it is not set, or names no Unix socket
 */
export function socketOf(uri: string | undefined): string {
  if (uri === undefined || uri === '')
    throw new Error('workload_api.socket is not set, and SPIFFE_ENDPOINT_SOCKET is not, either')
  const path = /^unix:(?:\/\/)?(\/[^?#]+)$/.exec(uri)?.[1]
  if (path === undefined || !workloadSocket.safeParse(path).success)
    throw new Error('SPIFFE_ENDPOINT_SOCKET is no Unix socket: expected unix:///path/of/the/socket')
  return path
}
