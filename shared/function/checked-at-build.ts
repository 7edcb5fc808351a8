/**
 * A bundler's constant (`bundleDefines` of `lambda/`), there when the very module that is bundled was loaded, and so
 * checked, by whoever bundles it: the checks of definitions are left out of the bundle then.
 */
declare global {
  const TIDEMARK_CHECKED: true | undefined;
}

export {};
