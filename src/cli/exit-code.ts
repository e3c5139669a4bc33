/** What a subcommand ends with: `nothing` when it looked and found nothing, `finding` when it checked and something is wrong. */
export const exitCode = { found: 0, nothing: 1, error: 2, finding: 3 } as const
