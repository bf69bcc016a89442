/** Argument 1: pods; argument 2: changes a second. Prints its URL, then changes pods until it is killed. */
import { ApiServer } from "../../test/discovery/kubernetes/ApiServer.ts"
import { inferencePool, podsPath, poolsPath, vllmPod } from "../../test/discovery/kubernetes/objects.ts"

const [pods = 1000, changesPerSecond = 50] = process.argv.slice(2).map(Number)
const server = await ApiServer.start([podsPath, poolsPath])

const pod = (index: number, ready: boolean, deployment: number) =>
  vllmPod(`vllm-${index}`, `10.${index >> 8}.${index & 255}.${deployment % 250}`, { ready })

server.put(poolsPath, inferencePool())
for (let i = 0; i < pods; i++) server.put(podsPath, pod(i, true, 0))
server.compact()
console.log(server.url)

let change = 0
setInterval(() => {
  const index = change % pods
  // A restart in three steps: not ready, gone and back with another address, ready.
  const step = Math.floor(change / pods) % 3
  const deployment = Math.floor(change / (3 * pods))
  if (step === 0) server.put(podsPath, pod(index, false, deployment))
  else if (step === 1) {
    server.remove(podsPath, `vllm-${index}`)
    server.put(podsPath, pod(index, false, deployment + 1))
  } else server.put(podsPath, pod(index, true, deployment + 1))
  if (++change % 1000 === 0) server.compact()
}, 1000 / changesPerSecond)
