// A plant's OPC UA server made of node-opcua. It writes every change that it makes into a truth file before it makes it.
//   node opcua_server.js '{"port":4840,"tags":1000,"hz":5,"truth":"truth.csv","pki":"pki",...}'
// One line of the truth file per change: tag,value,time [ms since 1970],status code
"use strict";
const fs = require("fs");
const path = require("path");
const o = Object.assign({}, require("node-opcua-server"), require("node-opcua-certificate-manager"), require("node-opcua-secure-channel"),
  require("node-opcua-status-code"), require("node-opcua-data-access"));
const options = Object.assign(
  { port: 4840, tags: 10, hz: 5, truth: null, pki: null, uncertain: 0.1, secure: false, anonymous: true, user: null,
    password: null, history: 0, start: 0, skew: 0, changes: 0, maxQueue: 0 },
  JSON.parse(process.argv[2] || "{}"));

const truth = options.truth ? fs.openSync(options.truth, "a") : null;

async function main() {
  const settings = {
    port: options.port,
    hostname: "127.0.0.1",
    resourcePath: "/plant",
    allowAnonymous: options.anonymous,
    userManager: { isValidUser: (name, word) => name === options.user && word === options.password },
    serverInfo: { applicationUri: "urn:127.0.0.1:plant.peer" },
    serverCapabilities: { maxSessions: 20, maxMonitoredItems: 100000, maxSubscriptions: 100 },
  };
  if (options.pki) {
    settings.serverCertificateManager = new o.OPCUACertificateManager({ rootFolder: path.join(options.pki, "server"), automaticallyAcceptUnknownCertificate: true });
    settings.userCertificateManager = new o.OPCUACertificateManager({ rootFolder: path.join(options.pki, "users"), automaticallyAcceptUnknownCertificate: true });
    await settings.serverCertificateManager.initialize();
    await settings.userCertificateManager.initialize();
  }
  if (options.certificate) {
    settings.certificateFile = options.certificate;
    settings.privateKeyFile = options.key;
  }
  if (options.secure) {
    settings.securityModes = [o.MessageSecurityMode.Sign, o.MessageSecurityMode.SignAndEncrypt];
    settings.securityPolicies = [o.SecurityPolicy.Basic256Sha256, o.SecurityPolicy.Aes128_Sha256_RsaOaep, o.SecurityPolicy.Aes256_Sha256_RsaPss];
  }
  const server = new o.OPCUAServer(settings);
  await server.initialize();
  const space = server.engine.addressSpace;
  const own = space.getOwnNamespace();
  const line = own.addObject({ organizedBy: space.rootFolder.objects, browseName: "Line", displayName: [{ text: "소성 라인", locale: "ko" }, { text: "Firing line", locale: "en" }] });
  const nodes = [];
  for (let i = 0; i < options.tags; i++) {
    const node = own.addAnalogDataItem({
      componentOf: line, nodeId: `s=tag${i}`, browseName: `tag${i}`,
      displayName: [{ text: `온도 ${i}`, locale: "ko" }, { text: `Temperature ${i}`, locale: "en" }],
      engineeringUnitsRange: { low: -1000000000, high: 1000000000 }, engineeringUnits: o.standardUnits ? o.standardUnits.degree_celsius : undefined,
      dataType: "Double", minimumSamplingInterval: 0, value: { dataType: "Double", value: -1 },
    });
    if (options.history > 0) space.installHistoricalDataNode(node, { maxOnlineValues: options.history });
    nodes.push(node);
  }
  await server.start();
  console.log(JSON.stringify({ ready: true, namespace: own.index, port: options.port, pid: process.pid }));
  let round = options.start, seed = 12345 + options.start;
  const random = () => { seed = (seed * 1103515245 + 12345) & 0x7fffffff; return seed / 0x7fffffff; };
  const period = 1000 / options.hz;
  let next = Date.now() + period;
  const beat = () => {
    const lines = [];
    const now = Date.now() + options.skew;
    const at = new Date(now);
    for (let i = 0; i < nodes.length; i++) {
      const doubtful = random() < options.uncertain;
      const status = doubtful ? o.StatusCodes.UncertainLastUsableValue : o.StatusCodes.Good;
      lines.push(`${i},${round},${now},${status.value}\n`);
    }
    if (truth !== null) fs.writeSync(truth, lines.join(""));
    for (let i = 0; i < nodes.length; i++) {
      const status = lines[i].endsWith(",0\n") ? o.StatusCodes.Good : o.StatusCodes.UncertainLastUsableValue;
      nodes[i].setValueFromSource({ dataType: "Double", value: round }, status, at);
    }
    round += 1;
    if (options.changes > 0 && round - options.start >= options.changes) { console.log(JSON.stringify({ finished: round })); return; }
    // A late beat is not made up for: two changes closer than the sampling interval would be one to any client.
    next = Math.max(next + period, Date.now() + 0.75 * period);
    setTimeout(beat, Math.max(0, next - Date.now()));
  };
  process.stdin.on("data", (data) => { if (String(data).includes("go")) { next = Date.now() + period; beat(); } });
  process.stdin.on("end", () => process.exit(0));
}
main().catch((error) => { console.error(error); process.exit(1); });
