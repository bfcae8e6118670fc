// A checkpoint in the browser: the ONNX files of `ncvqvae export`, run by onnxruntime-web.

import * as ort from "./vendor/ort.wasm.min.mjs";
import { drawCodes } from "./sampler.js";

ort.env.wasm.wasmPaths = new URL("./vendor/", import.meta.url).href;
ort.env.wasm.numThreads = 1; // more need headers that static Spaces do not send

const integers = (rows) =>
  new ort.Tensor("int64", BigInt64Array.from(rows.flat(), BigInt), [rows.length, rows[0].length]);

/** Loads the checkpoint of a folder; `folder` holds encode.onnx, decode.onnx, prior_step.onnx and export.json. */
export async function loadModel(folder) {
  const about = await (await fetch(`${folder}/export.json`)).json();
  const open = (name) => ort.InferenceSession.create(`${folder}/${name}.onnx`);
  const [prior, decoder] = await Promise.all([open("prior_step"), open("decode")]);
  let encoder = null; // not needed for the first picture
  const settings = {
    numCodes: about.num_codes,
    codebookSize: about.codebook_size,
    grid: about.grid,
    numSteps: about.num_steps,
    order: about.order,
    temperature: about.temperature,
    choiceTemperature: about.choice_temperature,
    guidanceScale: about.guidance_scale,
    guidanceSchedule: about.guidance_schedule,
  };
  const predict = async (codes, label) => {
    const labels = new ort.Tensor("int64", BigInt64Array.from(codes, () => BigInt(label)), [codes.length]);
    return (await prior.run({ codes: integers(codes), labels })).logits.data;
  };
  /** Series of codes: rows of channels of samples. */
  const decode = async (codes) => {
    const { data } = (await decoder.run({ codes: integers(codes) })).values;
    const { num_channels: channels, length } = about;
    const channel = (row, one) => Array.from(data.subarray((row * channels + one) * length, (row * channels + one + 1) * length));
    return codes.map((_, row) => Array.from({ length: channels }, (_, one) => channel(row, one)));
  };
  const encode = async (series) => {
    encoder ??= await open("encode");
    const values = new ort.Tensor("float32", Float32Array.from(series.flat()), [1, about.num_channels, about.length]);
    return Array.from((await encoder.run({ values })).codes.data, Number);
  };
  /** Draws `count` series of a class; `known` keeps codes, see `drawCodes`. */
  const generate = async (label, count, numbers, known = null) => {
    const codes = await drawCodes(predict, label, count, settings, numbers, known);
    return { codes, values: await decode(codes) };
  };
  const release = () => Promise.all([prior, decoder, encoder].map((session) => session?.release()));
  return { about, settings, encode, decode, generate, predict, release };
}
