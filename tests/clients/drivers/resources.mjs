/** Drives `fetch` of a page, for channels as resources. */
export const resourcesDriver = {
  /** Makes a request, with the cookies of the server; the response as a page can see it. */
  async fetch(url, options = {}) {
    const response = await fetch(url, { credentials: 'include', cache: 'no-store', ...options });
    return {
      status: response.status,
      headers: Object.fromEntries(response.headers),
      text: await response.text(),
    };
  },
};
