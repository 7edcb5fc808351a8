import { countingApp } from "./counting-app.ts";

export default countingApp("fan-out-16");
