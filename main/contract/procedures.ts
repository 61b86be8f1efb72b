/** The one contract between the interface and the workbench: typed procedures and event streams. Knows no transport. */
import { cardState } from './cards.ts';
import { type ContractRouterClient, eventIterator, oc } from '@orpc/contract';
import { z } from 'zod';
import { componentName, componentProgress, componentState } from './components.ts';
import { corpusCheckRequest, corpusReport } from './corpus.ts';
import { jobKind, serialisedError } from './jobs.ts';
import { hubAccess, hubDownload, hubModel, hubModelCard, hubModelId, hubSearchRequest } from './hub.ts';
import { localPath } from './local-path.ts';
import { deployed, presetInputs, taskCheckRequest, taskReport, teacherCard } from './queries.ts';
import { reviewRequest } from './new-rows.ts';
import { recipeSchema } from './recipe.ts';
import { remoteRunView, removedRun } from './remote.ts';
import { sharedStages } from './shared-stages.ts';
import { differencesAnswer, differencesRequest, previewAnswer, previewRequest } from './result-queries.ts';
import { benchmarkSubject, runtimeMessage, savedBenchmark } from './helper-protocol.ts';
import { trainedModel } from './results.ts';
import { servedModel } from './serving.ts';
import { sideJob, sideTask } from './side-jobs.ts';
import {
  annotations,
  applicationInformation,
  curve,
  directoryListing,
  doctorReport,
  draft,
  experimentResults,
  experimentSummary,
  experimentView,
  logLine,
  queueState,
  recipeEstimate,
  settings,
  ternaryWeights,
  workbenchEvent,
} from './views.ts';

/** Every failure that a person can act on crosses as this one error, whole. */
const procedure = oc.errors({ TRITSMITH: { status: 422, data: serialisedError } });
/** Ids become names of files and folders, so they are plain. */
const id = z.string().regex(/^[a-z0-9][a-z0-9-]{0,199}$/);
const byId = z.object({ id });

export const contract = {
  application: {
    information: procedure.output(applicationInformation),
    machine: procedure.output(doctorReport),
    /** The graphics card of this machine; nothing is computed on it. */
    card: procedure.output(cardState),
    settings: procedure.output(settings),
    changeSettings: procedure.input(settings.partial()).output(settings),
    /** Everything that happens, from now on. */
    watch: procedure.output(eventIterator(workbenchEvent)),
  },
  experiments: {
    list: procedure.output(z.array(experimentSummary)),
    get: procedure.input(byId).output(experimentView),
    /** Stores a new experiment and queues it. */
    start: procedure.input(z.object({ recipe: recipeSchema })).output(experimentView),
    startDemo: procedure.output(experimentView),
    /** Queues one with the recipe of another, on its training rows and those of `file`. */
    trainAgain: procedure.input(byId.extend({ file: localPath() })).output(experimentView),
    /** Queues one that is paused, interrupted, failed, cancelled or was never started. */
    resume: procedure.input(byId).output(experimentView),
    /** Saves the state and frees memory and processor; one that waits leaves the queue. */
    pause: procedure.input(byId).output(experimentView),
    cancel: procedure.input(byId).output(experimentView),
    /** Ends a worker that hangs and goes on from the last checkpoint with a new one. */
    restart: procedure.input(byId).output(experimentView),
    /** Queues one that memory ended, with a recipe that needs less (`lessMemoryOf`): what was finished stays. */
    resumeWithLessMemory: procedure.input(byId).output(experimentView),
    /** Moves one that waits to another place in the queue, 0 being next. */
    moveInQueue: procedure.input(byId.extend({ place: z.int().min(0) })).output(experimentView),
    queue: procedure.output(queueState),
    /** Starts what waits since the last workbench ended; `resume` starts the experiment that ran then, and what waits follows. */
    goOn: procedure.output(queueState),
    /** Hides it; `restore` undoes that until the program ends. */
    remove: procedure.input(byId).output(z.null()),
    restore: procedure.input(byId).output(experimentView),
    annotate: procedure.input(byId.extend(annotations.partial().shape)).output(experimentView),
    /** Fields in which the recipes of some experiments differ, with the value of each; null where it lacks the field. */
    recipeDifferences: procedure
      .input(z.object({ ids: z.array(id).max(8) }))
      .output(z.array(z.object({ path: z.string(), values: z.array(z.json()) }))),
    log: procedure.input(byId.extend({ limit: z.int().min(1).max(5000).default(500) })).output(z.array(logLine)),
    curveNames: procedure
      .input(byId)
      .output(z.array(z.object({ name: z.string(), first: z.number(), last: z.number() }))),
    /** At most `points` points of each curve, thinned so that no peak is lost. */
    curves: procedure
      .input(
        byId.extend({
          names: z.array(z.string()).max(64),
          from: z.number().optional(),
          to: z.number().optional(),
          points: z.int().min(4).max(4000).default(600),
        }),
      )
      .output(z.array(curve)),
    /** How ranks share the stages; empty where one process trains them. */
    sharedStages: procedure.input(byId).output(sharedStages),
    /** Empty for a stage that trains no ternary model. */
    ternaryWeights: procedure.input(byId.extend({ stage: jobKind })).output(ternaryWeights),
  },
  results: {
    get: procedure.input(byId).output(experimentResults),
    differences: procedure
      .input(byId.extend(differencesRequest.omit({ folder: true }).shape))
      .output(differencesAnswer),
    /** Starts a job on a finished experiment: one more export, or the 4-bit baseline. `watch` tells how it goes. */
    startJob: procedure.input(byId.extend({ task: sideTask })).output(sideJob),
    cancelJob: procedure.input(byId).output(z.null()),
    /** A self-contained model card; the interface saves it. */
    report: procedure
      .input(byId.extend({ format: z.enum(['markdown', 'html']) }))
      .output(z.object({ fileName: z.string(), text: z.string() })),
    /** Streams how the student fares on the rows of a file: `reviewing`, then `reviewed`. Closing the stream ends the process. */
    review: procedure
      .input(byId.extend(reviewRequest.pick({ file: true, unsureBelow: true, examples: true }).shape))
      .output(eventIterator(runtimeMessage)),
    /** Makes the folder `into` around an exported GGUF file, for those who use it. */
    deploy: procedure.input(byId.extend({ path: localPath(), into: localPath() })).output(deployed),
  },
  teachers: {
    list: procedure.output(z.array(z.object({ name: z.string(), added: z.number(), card: teacherCard }))),
    /** Reads the headers of a model folder; a supported one is remembered. */
    inspect: procedure.input(z.object({ folder: localPath() })).output(teacherCard),
    /** Writes the model of a LoRA adapter and its base into the workspace and remembers it; a merged one is not merged again. */
    merge: procedure.input(z.object({ adapter: localPath(), base: localPath() })).output(teacherCard),
    /** Models in the cache of Hugging Face's own programs; `folder` can be inspected as it is. */
    cached: procedure.output(z.array(z.object({ id: z.string(), folder: z.string() }))),
  },
  /** The Hugging Face Hub. `search`, `inspect` and `download` are the only procedures that use the network. */
  hub: {
    access: procedure.output(hubAccess),
    /** Kept in memory until the workbench ends; null forgets it. */
    useToken: procedure.input(z.object({ token: z.string().min(1).max(500).nullable() })).output(hubAccess),
    search: procedure.input(hubSearchRequest).output(z.array(hubModel)),
    inspect: procedure.input(z.object({ id: hubModelId })).output(hubModelCard),
    /** Begins, or goes on with what an earlier attempt left; how it goes is told as events. */
    download: procedure.input(z.object({ id: hubModelId })).output(hubDownload),
    /** Stops it; what is there stays. */
    pause: procedure.input(z.object({ id: hubModelId })).output(z.null()),
    /** Stops it and removes what is there. */
    cancel: procedure.input(z.object({ id: hubModelId })).output(z.null()),
    /** Those that run, were interrupted, or ended since the workbench began. */
    downloads: procedure.output(z.array(hubDownload)),
  },
  tasks: {
    check: procedure.input(taskCheckRequest).output(taskReport),
    preview: procedure.input(previewRequest).output(previewAnswer),
    checkCorpus: procedure.input(corpusCheckRequest).output(corpusReport),
  },
  recipes: {
    make: procedure.input(z.object({ inputs: presetInputs })).output(recipeSchema),
    estimate: procedure.input(z.object({ recipe: recipeSchema })).output(recipeEstimate),
    /** Trains 20 steps of the real thing in a folder that is thrown away, and says what the whole would take. */
    rehearse: procedure.input(z.object({ recipe: recipeSchema })).output(recipeEstimate),
  },
  drafts: {
    list: procedure.output(z.array(draft)),
    save: procedure.input(draft.omit({ changed: true })).output(draft),
    remove: procedure.input(byId).output(z.null()),
  },
  files: {
    browse: procedure.input(z.object({ folder: localPath().optional() })).output(directoryListing),
    /** Electron: opens the file manager. Elsewhere the interface shows the path instead. */
    reveal: procedure.input(z.object({ path: localPath() })).output(z.object({ shown: z.boolean() })),
  },
  playground: {
    /** Streams one model's answer to one input. Closing the stream ends the process. */
    answer: procedure
      .input(
        byId.extend({
          model: trainedModel,
          input: z.record(z.string(), z.string().max(100_000)),
          maxTokens: z.int().min(1).max(2048).default(128),
          /** How many models are asked at the same time; each is given its share of the processor. */
          answering: z.int().min(1).max(8).default(1),
        }),
      )
      .output(eventIterator(runtimeMessage)),
  },
  /** Runs on other computers, over ssh; of those that have come home a copy is there. */
  remote: {
    /** As far as it is known here. */
    list: procedure.output(z.array(remoteRunView)),
    /** Asks the other computers first. */
    ask: procedure.output(z.array(remoteRunView)),
    /** Copies what the recipe names to `place` (`user@host:folder`), and starts it there; `beside` others that run there. */
    start: procedure
      .input(z.object({ recipe: recipeSchema, place: z.string().min(1).max(500), beside: z.boolean().default(false) }))
      .output(remoteRunView),
    /** Saves its state; ends when its process there has ended. */
    pause: procedure.input(byId).output(remoteRunView),
    resume: procedure.input(byId.extend({ beside: z.boolean().default(false) })).output(remoteRunView),
    cancel: procedure.input(byId).output(remoteRunView),
    /** Removes one that does not run from the other computer, and forgets it here. */
    remove: procedure.input(byId).output(removedRun),
    /** Makes an experiment of this workspace of one that does not run. */
    bring: procedure.input(byId).output(experimentView),
  },
  /** Students behind an address of this machine, for other programs. They end with the workbench. */
  serving: {
    get: procedure.input(byId).output(servedModel.nullable()),
    start: procedure.input(byId).output(servedModel),
    /** Ends when what runs has ended, at the latest after a few seconds. */
    stop: procedure.input(byId).output(z.null()),
  },
  /** Other programs that are fetched only when a person asks for them. */
  components: {
    list: procedure.output(z.array(componentState)),
    /** Downloads it; ends when it is there. Stop reading to stop it: nothing is left behind. */
    install: procedure.input(z.object({ name: componentName })).output(eventIterator(componentProgress)),
    remove: procedure.input(z.object({ name: componentName })).output(z.array(componentState)),
  },
  benchmarks: {
    list: procedure.output(z.array(savedBenchmark)),
    /** Measures each model in a process of its own and keeps the result; streams the points as they come. */
    run: procedure
      .input(
        byId.extend({
          subjects: z.array(benchmarkSubject).min(1).max(8),
          threads: z.array(z.int().min(1).max(256)).min(1).max(8),
          promptLengths: z.array(z.int().min(1).max(32_768)).min(1).max(8),
        }),
      )
      .output(
        eventIterator(
          z.object({
            /** Which of the subjects, from 0. */
            subject: z.int(),
            message: runtimeMessage,
            /** Set with the last message. */
            saved: savedBenchmark.nullable(),
          }),
        ),
      ),
    remove: procedure.input(byId).output(z.null()),
  },
};

export type WorkbenchClient = ContractRouterClient<typeof contract>;
