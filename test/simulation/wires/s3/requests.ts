/** Random requests of the kind that checkpoint storage sends, on few keys and few bodies, so that they meet. */
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  UploadPartCommand,
} from "@aws-sdk/client-s3";
import fc from "../../../support/properties.ts";

/** What a sequence has come to know from answers; both S3s are asked with what each of them has said itself. */
export interface Known {
  /** The last ETag that was seen of each key. */
  readonly etags: Map<string, string>;
  upload: { readonly Key: string; readonly UploadId: string } | undefined;
  readonly parts: { PartNumber: number; ETag: string }[];
}

export interface Request {
  readonly text: string;
  readonly on: (Bucket: string, known: Known) => object;
}

const request = (text: string, on: Request["on"]): Request => ({ text, on });

const key = fc.constantFrom("a", "a/b", "a-b", "B", "z");
const body = fc.constantFrom("", "one", "two");

const put = fc
  .tuple(key, body)
  .map(([Key, Body]) => request(`put ${Key} ${Body}`, (Bucket) => new PutObjectCommand({ Bucket, Key, Body })));
const create = fc
  .tuple(key, body)
  .map(([Key, Body]) =>
    request(`create ${Key} ${Body}`, (Bucket) => new PutObjectCommand({ Bucket, Key, Body, IfNoneMatch: "*" })),
  );
const OTHER_ETAG = '"00000000000000000000000000000000"';
const replace = fc
  .tuple(key, body, fc.boolean())
  .map(([Key, Body, known]) =>
    request(
      `replace ${Key} ${Body} ${known}`,
      (Bucket, { etags }) =>
        new PutObjectCommand({ Bucket, Key, Body, IfMatch: (known && etags.get(Key)) || OTHER_ETAG }),
    ),
  );
const get = key.map((Key) => request(`get ${Key}`, (Bucket) => new GetObjectCommand({ Bucket, Key })));
const remove = key.map((Key) => request(`remove ${Key}`, (Bucket) => new DeleteObjectCommand({ Bucket, Key })));
const list = fc
  .tuple(fc.constantFrom("", "a", "a/", "none"), fc.integer({ min: 1, max: 3 }))
  .map(([Prefix, MaxKeys]) =>
    request(`list ${Prefix} by ${MaxKeys}`, (Bucket) => new ListObjectsV2Command({ Bucket, Prefix, MaxKeys })),
  );
const begin = key.map((Key) =>
  request(`begin upload ${Key}`, (Bucket) => new CreateMultipartUploadCommand({ Bucket, Key })),
);
const NO_UPLOAD = { Key: "a", UploadId: "none" };
const part = fc
  .tuple(fc.integer({ min: 1, max: 2 }), body)
  .map(([PartNumber, Body]) =>
    request(
      `upload part ${PartNumber} ${Body}`,
      (Bucket, { upload }) => new UploadPartCommand({ Bucket, ...(upload ?? NO_UPLOAD), PartNumber, Body: `${Body}.` }),
    ),
  );
const complete = fc.constant(
  request(
    "complete upload",
    (Bucket, { upload, parts }) =>
      new CompleteMultipartUploadCommand({
        ...{ Bucket, ...(upload ?? NO_UPLOAD) },
        MultipartUpload: { Parts: parts.length > 0 ? parts : [{ PartNumber: 1, ETag: OTHER_ETAG }] },
      }),
  ),
);
const abort = fc.constant(
  request(
    "abort upload",
    (Bucket, { upload }) => new AbortMultipartUploadCommand({ Bucket, ...(upload ?? NO_UPLOAD) }),
  ),
);

const one: fc.Arbitrary<readonly Request[]> = fc
  .oneof(
    { weight: 3, arbitrary: put },
    { weight: 3, arbitrary: create },
    { weight: 4, arbitrary: replace },
    { weight: 3, arbitrary: get },
    { weight: 3, arbitrary: remove },
    { weight: 2, arbitrary: list },
    { weight: 1, arbitrary: begin },
    { weight: 1, arbitrary: part },
    { weight: 1, arbitrary: complete },
    { weight: 1, arbitrary: abort },
  )
  .map((alone) => [alone]);
const upload = fc
  .tuple(
    begin,
    fc.array(part, { maxLength: 3 }),
    fc.oneof({ weight: 3, arbitrary: complete }, { weight: 1, arbitrary: abort }),
  )
  .map(([first, parts, last]) => [first, ...parts, last]);

export const sequences: fc.Arbitrary<readonly Request[]> = fc
  .array(fc.oneof({ weight: 8, arbitrary: one }, { weight: 1, arbitrary: upload }), { minLength: 10, maxLength: 20 })
  .map((parts) => parts.flat());
