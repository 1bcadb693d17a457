// The npm package `onvif` against a running device: HOST PORT USER SECRET, NODE_PATH with the package.
// Ends with what it could not do; prints each answer's size.

const { Cam } = require("onvif");
const [hostname, port, username, password] = process.argv.slice(2);
const promised = (ask) => new Promise((done, fail) => ask((error, told) => (error ? fail(error) : done(told))));
const failed = [];

new Cam({ hostname, port: Number(port), username, password, timeout: 15000 }, async function connected(error) {
  if (error) {
    console.log("failed connect:", error.message);
    process.exit(1);
  }
  const ask = async (name, call) => {
    try {
      console.log(name, JSON.stringify(await promised(call)).length);
    } catch (problem) {
      failed.push(name);
      console.log(`failed ${name}: ${problem.message}`);
    }
  };
  await ask("getDeviceInformation", (done) => this.getDeviceInformation(done));
  await ask("getStreamUri", (done) => this.getStreamUri({ protocol: "RTSP" }, done));
  await ask("getSnapshotUri", (done) => this.getSnapshotUri({}, done));
  await ask("getNodes", (done) => this.getNodes(done));
  await ask("getPresets", (done) => this.getPresets({}, done));
  await ask("continuousMove", (done) => this.continuousMove({ x: 0.3, y: 0, zoom: 0, timeout: 1000 }, done));
  await ask("getStatus", (done) => this.getStatus({}, done));
  await ask("stop", (done) => this.stop({ panTilt: true, zoom: true }, done));
  await ask("getRecordings", (done) => this.getRecordings(done));
  await ask("getReplayUri", (done) => this.getReplayUri({ recordingToken: "dome.main" }, done));
  await ask("getEventProperties", (done) => this.getEventProperties(done));
  let events = 0;
  this.on("event", () => { events += 1; });
  for (let waited = 0; waited < 30 && !events; waited += 1) await new Promise((done) => setTimeout(done, 1000));
  console.log(events ? `events ${events}` : "failed events: none came");
  process.exit(failed.length || !events ? 1 : 0);
});
