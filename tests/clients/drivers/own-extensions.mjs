// Loads one of the versions of cometd.js into a page, with its own extensions where they are asked for.
const FOLDERS = { 3: 'cometd-3', 7: 'cometd-7', 9: 'cometd' };

/** Runs a script that is no module. */
function run(address) {
  const script = document.createElement('script');
  script.src = address;
  const ran = new Promise((resolve, reject) => {
    script.onload = resolve;
    script.onerror = () => reject(new Error(`no ${address}`));
  });
  document.head.append(script);
  return ran;
}

/**
 * @param {string} version `3`, `7` or `9`
 * @returns its exports, and what loads the constructor of an extension
 */
export async function loadCometd(version) {
  const folder = `/static/${FOLDERS[version]}`;
  if (version === '9') {
    const load = async (name) => (await import(`${folder}/${name}Extension.js`))[`${name}Extension`];
    return { cometd: await import(`${folder}/cometd.js`), load };
  }
  await run(`${folder}/cometd.js`);
  const load = async (name) => {
    await run(`${folder}/${name}Extension.js`);
    return org.cometd[`${name}Extension`];
  };
  return { cometd: org.cometd, load };
}
