import type { ImageChanges, ImageRecord, NewImage } from './image.ts';
import { changedImage } from './image.ts';
import type { LimitSource, ProjectLimits, ProjectUse, Promised, PromiseWish } from './quota.ts';
import { bytesInStores, isFilling, refuseOverLimits } from './quota.ts';
import type { Catalog, CatalogInTransaction, ImageRepo, ReservationRepo } from './repositories.ts';

/** The parts of a catalogue that counting needs, all in one transaction. */
type Counting = Pick<CatalogInTransaction<unknown>, 'images' | 'reservations'>;
type Together = <T>(work: (catalog: Counting) => Promise<T>) => Promise<T>;

/**
 * A catalogue that lets no project have more than its limits: what would grow beyond them is refused with `over_quota`.
 * Whoever counts holds the project until what was counted is written, so that no two that fit one by one pass together.
 * What is promised to an image counts as long as the image is being brought in: when its process dies, it ends with that.
 */
export function limitedCatalog<T>(catalog: Catalog<T>, limits: LimitSource): Catalog<T> {
  return {
    ...catalog,
    ...limitedParts(catalog, limits, (work) => catalog.transaction(work)),
    transaction: (work) =>
      catalog.transaction((inside) => work({ ...inside, ...limitedParts(inside, limits, (each) => each(inside)) })),
  };
}

function limitedParts({ images, reservations }: Counting, limits: LimitSource, together: Together): Counting {
  return {
    images: limitedImages(images, limits, together),
    reservations: {
      ...reservations,
      async promise(imageId, wish) {
        const { owner } = await images.get(imageId);
        const most = await limits.of(owner);
        if (most[wish.kind] === undefined) return Number.POSITIVE_INFINITY;
        return together(async (inside) => {
          const { rest, own } = await held(inside, owner, imageId);
          return promised(inside, { imageId, wish, most, rest, own });
        });
      },
    },
  };
}

interface Promising {
  readonly imageId: string;
  readonly wish: PromiseWish;
  readonly most: ProjectLimits;
  /** What the project has beside what is promised to this image. */
  readonly rest: ProjectUse;
  readonly own: Promised;
}

async function promised({ reservations }: Counting, { imageId, wish, most, rest, own }: Promising): Promise<number> {
  const { kind, atLeast, wished } = wish;
  refuseOverLimits(most, rest, { [kind]: atLeast });
  const room = (most[kind] ?? Number.POSITIVE_INFINITY) - rest[kind];
  const granted = Math.max(atLeast, Math.min(wished, room));
  await reservations.set(imageId, { ...own, [kind]: granted });
  return granted;
}

/** What the project uses beside what is promised to one image; nobody else counts until the transaction ends. */
async function held(
  { images, reservations }: Counting,
  project: string | null,
  imageId: string,
): Promise<{ readonly rest: ProjectUse; readonly own: Promised }> {
  await reservations.hold(project);
  const use = await images.usage(project);
  const own = await reservations.of(imageId);
  return {
    own,
    rest: {
      ...use,
      storedBytes: use.storedBytes - own.storedBytes,
      stagedBytes: use.stagedBytes - own.stagedBytes,
    },
  };
}

function limitedImages(repo: ImageRepo, limits: LimitSource, together: Together): ImageRepo {
  return {
    ...repo,
    async insert(image: NewImage) {
      const owner = image.owner ?? null;
      const most = await limits.of(owner);
      if (most.images === undefined) return repo.insert(image);
      return together(async ({ images, reservations }) => {
        await reservations.hold(owner);
        refuseOverLimits(most, await images.usage(owner), { images: 1 });
        return images.insert(image);
      });
    },
    async save(image, changes) {
      const growth = growthOf(image, changes);
      if (growth === undefined) return repo.save(image, changes);
      const owner = changes.owner === undefined ? image.owner : changes.owner;
      const most = await limits.of(owner);
      if (Object.values(most).every((limit) => limit === undefined)) return repo.save(image, changes);
      return together(async (inside) => {
        const { rest, own } = await held(inside, owner, image.id);
        refuseOverLimits(most, rest, growth);
        const after = await inside.images.save(image, changes);
        await keepRest(inside.reservations, { before: image, after, own, recorded: growth.storedBytes ?? 0 });
        return after;
      });
    },
  };
}

interface Recorded {
  readonly before: ImageRecord;
  readonly after: ImageRecord;
  readonly own: Promised;
  /** Bytes that were promised and are there now. */
  readonly recorded: number;
}

/** An image that is still being brought in keeps the promise of what has not come yet; others have none. */
async function keepRest(reservations: ReservationRepo, { before, after, own, recorded }: Recorded): Promise<void> {
  const goesOn = isFilling(before) && isFilling(after);
  if (!goesOn) return reservations.clear(after.id);
  if (own.storedBytes > 0) {
    await reservations.set(after.id, { ...own, storedBytes: Math.max(0, own.storedBytes - recorded) });
  }
}

/** What a change adds to what the image's project uses; undefined: nothing that has a limit. */
function growthOf(image: ImageRecord, changes: ImageChanges): Partial<ProjectUse> | undefined {
  const after = changedImage(image, changes, 0);
  const begins = isFilling(after) && !isFilling(image);
  const storedBytes = bytesInStores(after) - bytesInStores(image);
  if (begins) return { uploading: 1, storedBytes };
  return storedBytes > 0 ? { storedBytes } : undefined;
}
