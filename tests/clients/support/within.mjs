/** How long a single step may take; below the server's default hold of 30 s. */
export const BOUND = 15_000;

/** Keeps the texts of failures readable. */
export const brief = (text) => (text.length > 300 ? `${text.slice(0, 300)}...` : text);

/** Resolves as `promise` does, or rejects after `bound` ms and says what was awaited. */
export async function within(what, promise, bound = BOUND) {
  let timer;
  const expiry = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${bound} ms for ${what}`)), bound);
  });
  try {
    return await Promise.race([promise, expiry]);
  } finally {
    clearTimeout(timer);
  }
}
