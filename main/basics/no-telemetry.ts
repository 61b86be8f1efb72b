/**
 * Imported before onnxruntime-node, whose library for Linux and macOS else keeps what is done with it in the user's cache folder and sends that to its makers. What is
 * read when the library is loaded is the environment.
 */
process.env['ORT_DISABLE_TELEMETRY'] = '1';
