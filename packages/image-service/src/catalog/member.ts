/** How a project has answered to an image that was shared with it. */
export const MEMBER_STATUSES = ['pending', 'accepted', 'rejected'] as const;
/** One of `MEMBER_STATUSES`. */
export type MemberStatus = (typeof MEMBER_STATUSES)[number];

/** One project that an image is shared with. Times in milliseconds since 1970. */
export interface MemberRecord {
  readonly imageId: string;
  /** The id of the project. */
  readonly member: string;
  readonly status: MemberStatus;
  readonly createdAt: number;
  readonly updatedAt: number;
}
