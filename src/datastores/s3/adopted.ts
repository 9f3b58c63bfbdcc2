/** How a location says that the object under the key behind it is somebody else's: it is read there, and never deleted. */
const ADOPTED = 'adopted:'

export const asAdopted = (key: string): string => ADOPTED + key

export const isAdopted = (location: string): boolean => location.startsWith(ADOPTED)

/** The key of the object that a location means. */
export const keyOf = (location: string): string => (isAdopted(location) ? location.slice(ADOPTED.length) : location)
