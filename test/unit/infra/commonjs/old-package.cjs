// It asks for Node's own modules as it loads, by a name that no bundler knows, and for where it is.
const { Readable } = require("node:stream");
const name = ["node", "path"].join(":");
const { basename } = require(name);

module.exports.one = () => (basename(__filename) !== "" && __dirname !== "" && Readable !== undefined ? 1 : 0);
if (module.exports.one() !== 1) throw new Error("This is not where it is.");
